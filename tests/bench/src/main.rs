//! What Countersign is measured with: `hello`, an actix-web server that checks nothing, and `load`, a generator that
//! signs its requests before it sends the first one.
//!
//! `tests/bench/run` starts both; by itself this program measures nothing and knows no server but the one it is told.

mod hello;
mod load;
mod process;
mod sign;

use std::io::Read;

use anyhow::{Context, bail};

const USAGE: &str = "usage: countersign-bench hello ADDRESS WORKERS < answer.json
       countersign-bench load < job.json";

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["hello", address, workers] => {
            let body = standard_input()?;
            Ok(hello::serve(address, workers.parse()?, body)?)
        }
        ["load"] => {
            let job: load::Job = serde_json::from_str(&standard_input()?).context("the job on standard input")?;
            println!("{}", serde_json::to_string(&load::run(&job)?)?);
            Ok(())
        }
        _ => bail!(USAGE),
    }
}

fn standard_input() -> anyhow::Result<String> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}

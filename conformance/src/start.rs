//! Starts a provider that the suite brings along, in a temporary virtual environment if it is a Python one, and ends it afterwards.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::run::random_text;
use crate::target::Start;
use crate::variables;

const READY_TIME: Duration = Duration::from_secs(30);
const ANNOUNCEMENT: &str = "listening on ";

/// A provider that runs as long as this value lives.
#[derive(Debug)]
pub struct Started {
    child: Child,
    folder: Option<PathBuf>,
    /// The address it listens on.
    pub address: String,
}

impl Started {
    /// Starts a provider. `folder` is the target file's, where its command runs; `python` is an interpreter to use instead of a
    /// virtual environment of its own. `extra` arguments are added to the command.
    pub fn start(start: &Start, folder: &Path, python: Option<&Path>, extra: &[String]) -> Result<Started, String> {
        let mut environment = None;
        let python = match (python, &start.requirements) {
            (Some(given), _) => given.display().to_string(),
            (None, None) => "python3".to_owned(),
            (None, Some(requirements)) => {
                let made = std::env::temp_dir().join(format!("conformance-{}-{}", std::process::id(), random_text(8)));
                environment = Some(made.clone());
                make_environment(&made, &folder.join(requirements))
                    .inspect_err(|_| drop(std::fs::remove_dir_all(&made)))?
            }
        };
        let mut started = run(start, folder, &python, extra);
        match &mut started {
            Ok(started) => started.folder = environment,
            Err(_) => {
                if let Some(made) = environment {
                    let _ = std::fs::remove_dir_all(made);
                }
            }
        }
        started
    }
}

fn run(start: &Start, folder: &Path, python: &str, extra: &[String]) -> Result<Started, String> {
    let lookup = |name: &str| match name {
        "python" => Ok(python.to_owned()),
        other => Err(format!("the start command has no variable `{other}`")),
    };
    let mut words = Vec::new();
    for word in &start.command {
        words.push(variables::expand::<String>(word, &lookup)?);
    }
    words.extend_from_slice(extra);
    let (program, arguments) = words.split_first().ok_or("the start command is empty")?;
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("the provider can't be started: `{program}`: {e}"))?;
    let output = child.stdout.take();
    let mut started = Started { child, folder: None, address: String::new() };
    let output = output.ok_or("the provider has no output")?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        // Reads on after the announcement, so that the provider never waits for a full pipe.
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if let Some(address) = line.strip_prefix(ANNOUNCEMENT) {
                let _ = sender.send(address.trim().to_owned());
            }
        }
    });
    started.address = receiver.recv_timeout(READY_TIME).map_err(|_| {
        format!("the provider `{program}` did not say `{ANNOUNCEMENT}ADDRESS` within {READY_TIME:?}, or ended")
    })?;
    Ok(started)
}

/// Makes a virtual environment with some packages; the path of its interpreter.
fn make_environment(folder: &Path, requirements: &Path) -> Result<String, String> {
    let run = |what: &str, command: &mut Command| match command.stdin(Stdio::null()).output() {
        Err(e) => Err(format!("{what}: {e}")),
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!(
            "{what}: {}",
            String::from_utf8_lossy(&output.stderr).trim().lines().last().unwrap_or("failed")
        )),
    };
    run("a virtual environment can't be made", Command::new("python3").arg("-m").arg("venv").arg(folder))?;
    let python = folder.join("bin").join("python");
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(requirements);
    run("the provider's packages can't be installed", &mut install)?;
    Ok(python.display().to_string())
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(folder) = &self.folder {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

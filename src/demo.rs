//! Wiring for this branch; the founder's file replaces it at merge.

pub fn run(_: crate::config::Configuration) -> anyhow::Result<()> {
    anyhow::bail!("this build has no server")
}

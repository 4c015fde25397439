//! Wiring for this branch; the founder's file replaces it at merge.

pub fn serve(_: crate::config::Configuration) -> anyhow::Result<()> {
    anyhow::bail!("this build has no server")
}

use super::{Failure, SourceArgs};
pub const IMPORT_HELP: &str = "";
pub const EXPORT_HELP: &str = "";
#[derive(clap::Args)]
pub struct FileArgs {
    file: std::path::PathBuf,
}
pub async fn import(_: FileArgs, _: SourceArgs) -> Result<(), Failure> {
    Ok(())
}
pub async fn export(_: FileArgs, _: SourceArgs) -> Result<(), Failure> {
    Ok(())
}

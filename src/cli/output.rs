//! Printing: results to stdout, notices to stderr.

use std::io::{IsTerminal, Write};
use std::path::Path;

use super::failure::Failure;
use crate::report::terminal::Layout;

/// Prints a result to stdout.
///
/// A reader that closed the pipe (`| head`) is no error; a full disk behind it is.
pub(super) fn result(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::failed(format!("write the result: {error}"))),
        _ => Ok(()),
    }
}

/// Prints a notice to stderr; when that is closed there is nobody to tell.
pub(super) fn notice(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Returns how wide tables may be and whether they may be coloured.
pub(super) fn layout() -> Layout {
    let stdout = std::io::stdout();
    let terminal = stdout.is_terminal();
    let columns =
        terminal.then(|| rustix::termios::tcgetwinsize(&stdout).ok()).flatten().map(|size| size.ws_col).filter(|columns| *columns >= 60);
    Layout { width: columns, colour: terminal && std::env::var_os("NO_COLOR").is_none() }
}

/// Writes a file whole: beside its place first, then renamed, so that a full disk leaves no half of it.
pub(super) fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<(), Failure> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let written = || -> std::io::Result<()> {
        std::fs::create_dir_all(parent)?;
        let mut file = tempfile::NamedTempFile::new_in(parent)?;
        file.write_all(content.as_ref())?;
        file.as_file().sync_all()?;
        // A temporary file is private; a report is for whoever may read its folder.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
        }
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    written().map_err(|error| Failure::failed(format!("write {}: {error}", path.display())))
}

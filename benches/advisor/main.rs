//! What the advice is worth: the twin's plans beside the server's, index sets beside budgets, promises beside run times.
//!
//! `benches/README.md` says how to read it. Runs on throwaway servers only.

#![expect(clippy::print_stdout, reason = "a bench prints its tables")]
#![expect(clippy::print_stderr, reason = "and its progress")]

mod budgets;
mod built;
mod fidelity;
mod many;
mod sources;
mod workload;

use std::error::Error;
use std::path::PathBuf;

use pgload::pg::binaries::Binaries;

/// What to run, on what.
pub(crate) struct Options {
    pub(crate) binaries: Binaries,
    /// TPC-H scale factor; 0 leaves TPC-H out.
    pub(crate) scale: f64,
    /// Which parts to run.
    pub(crate) parts: Vec<String>,
}

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn options() -> Result<Options> {
    let mut options = Options {
        binaries: Binaries::find(std::env::var_os("PGLOAD_PG_BIN").map(PathBuf::from).as_deref(), &search_path())?,
        scale: 0.2,
        parts: Vec::new(),
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--scale" => options.scale = arguments.next().ok_or("--scale wants a number")?.parse()?,
            // What cargo itself passes on.
            "--bench" => {}
            part @ ("fidelity" | "budgets" | "many" | "built") => options.parts.push(part.to_owned()),
            other => return Err(format!("unknown argument {other}; expected fidelity, budgets, many, built, --scale N").into()),
        }
    }
    if options.parts.is_empty() {
        options.parts = ["fidelity", "budgets", "many", "built"].map(str::to_owned).to_vec();
    }
    Ok(options)
}

fn search_path() -> Vec<PathBuf> {
    std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default()
}

fn main() -> Result<()> {
    let options = options()?;
    let wants = |part: &str| options.parts.iter().any(|wanted| wanted == part);
    let sources = sources::Sources::start(&options)?;
    if wants("fidelity") {
        fidelity::run(&options, &sources)?;
    }
    if wants("budgets") {
        budgets::run(&options, &sources)?;
    }
    if wants("many") {
        many::run(&options, &sources)?;
    }
    if wants("built") {
        built::run(&options, &sources)?;
    }
    Ok(())
}

//! The scripts of one run: what a run is called and what is kept of it.

use super::place::ScriptError;
use super::script::Script;
use super::suite::{Options, Suite, SuiteError};
use crate::replay::writes::Writes;

/// Scripts, how often each is run, and what they are played with.
#[derive(Debug, Clone)]
pub struct Scripts {
    /// In the order given, each with its weight.
    pub scripts: Vec<(Script, u32)>,
    /// What they are played with.
    pub options: Options,
}

impl Scripts {
    /// Returns the run's name: the scripts' names without their folders and endings.
    pub fn name(&self) -> String {
        let stem = |(script, _): &(Script, u32)| {
            let file = script.name.rsplit(['/', '\\']).next().unwrap_or_default();
            file.strip_suffix(".sql").unwrap_or(file).to_owned()
        };
        self.scripts.iter().filter(|(_, weight)| *weight > 0).map(stem).collect::<Vec<_>>().join("+")
    }

    /// Returns everything that decides which calls are made, for a person and for telling whether two runs made the same.
    pub fn text(&self) -> String {
        let mut text = format!("-- pgbench scripts, -M {}\n", self.options.mode);
        for (name, value) in &self.options.variables {
            text.push_str(&format!("-- -D {name}={value}\n"));
        }
        for (script, weight) in &self.scripts {
            text.push_str(&format!("-- {}@{weight}\n{script}", script.name));
        }
        text
    }

    /// Prepares the scripts for playing.
    ///
    /// # Errors
    /// [`SuiteError`], as [`Suite::new`].
    pub fn suite(&self, writes: Writes) -> Result<Suite, SuiteError> {
        Suite::new(&self.scripts, &self.options, writes)
    }

    /// Adds a script.
    ///
    /// # Errors
    /// [`ScriptError`] when it cannot be read.
    pub fn add(&mut self, text: &str, name: &str, weight: u32) -> Result<(), ScriptError> {
        self.scripts.push((Script::parse(text, name)?, weight));
        Ok(())
    }

    /// Returns whether the scale of the tables matters and was not given.
    pub fn wants_scale(&self) -> bool {
        self.options.scale.is_none() && !self.options.variables.iter().any(|(name, _)| name == "scale")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_called_by_its_scripts_and_keeps_what_decides_its_calls() {
        let mut scripts = Scripts { scripts: Vec::new(), options: Options::default() };
        scripts.add("select 1;", "dir/a.sql", 2).unwrap();
        scripts.add("select 2;", "never.sql", 0).unwrap();
        scripts.add("\\set x 1\n", "tpcb-like", 1).unwrap();
        assert_eq!(scripts.name(), "a+tpcb-like");
        assert!(scripts.wants_scale());
        scripts.options.variables.push(("scale".to_owned(), "3".to_owned()));
        assert!(!scripts.wants_scale());
        assert_eq!(
            scripts.text(),
            "-- pgbench scripts, -M prepared\n-- -D scale=3\n-- dir/a.sql@2\nselect 1;\n-- never.sql@0\nselect 2;\n-- tpcb-like@1\n\\set x 1\n"
        );
        assert!(scripts.suite(Writes::Readonly).is_ok());
        assert!(scripts.add("\\foo", "b.sql", 1).unwrap_err().to_string().starts_with("b.sql:1:2: "));
    }
}

//! Progress: bars on a terminal, plain lines in a pipe; always on stderr.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::output;
use crate::load::Progress;
use crate::pg::replay::Phase;
use crate::units::grouped;

/// 5 s: often enough to see that it lives, seldom enough for a CI log.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows one step that takes a while; cleared when dropped.
pub(super) struct Step {
    bar: Option<ProgressBar>,
}

/// Starts a step without known length.
pub(super) fn step(message: &str) -> Step {
    if !std::io::stderr().is_terminal() {
        output::notice(message);
        return Step { bar: None };
    }
    let bar = ProgressBar::new_spinner().with_message(message.to_owned());
    bar.enable_steady_tick(Duration::from_millis(100));
    Step { bar: Some(bar) }
}

impl Step {
    /// Ends the step with a line that stays.
    pub(super) fn done(self, message: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        output::notice(message);
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Shows how much of a window of known length has passed; cleared when dropped.
pub(super) struct Window(Step);

/// Starts showing a window.
pub(super) fn window(name: &str, length: Duration) -> Window {
    if !std::io::stderr().is_terminal() {
        output::notice(&format!("{name} for {} s", length.as_secs_f64()));
        return Window(Step { bar: None });
    }
    let style = ProgressStyle::with_template("{prefix} {bar:30} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
    Window(Step { bar: Some(ProgressBar::new(length.as_millis() as u64).with_style(style).with_prefix(name.to_owned())) })
}

impl Window {
    /// Takes how long it has lasted.
    pub(super) fn update(&self, elapsed: Duration) {
        if let Some(bar) = &self.0.bar {
            bar.set_position(elapsed.as_millis() as u64);
            let left = bar.length().unwrap_or_default().saturating_sub(elapsed.as_millis() as u64) / 1000;
            bar.set_message(format!("{left} s left, Ctrl-C reports what was seen"));
        }
    }
}

/// Shows a load run: elapsed and remaining time, calls, errors, p95.
pub(super) struct Load {
    name: String,
    warm_up: Duration,
    duration: Duration,
    max_calls: Option<u64>,
    bar: Option<ProgressBar>,
    last_line: Mutex<Option<Instant>>,
}

/// Starts showing a run of this length, or of this many calls where they come first.
pub(super) fn load(name: &str, warm_up: Duration, duration: Duration, max_calls: Option<u64>) -> Load {
    let bar = std::io::stderr().is_terminal().then(|| {
        let style = ProgressStyle::with_template("{prefix} {bar:30} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
        ProgressBar::new((warm_up + duration).as_millis() as u64).with_style(style).with_prefix(name.to_owned())
    });
    Load { name: name.to_owned(), warm_up, duration, max_calls, bar, last_line: Mutex::new(None) }
}

/// Starts showing an experiment, part by part.
pub(super) fn paired(name: &str) -> Load {
    load(name, Duration::ZERO, Duration::ZERO, None)
}

impl Load {
    /// Takes what a part of an experiment reports.
    pub(super) fn update_part(&self, part: &str, length: Duration, progress: &Progress) {
        let p95 = progress.p95_us.map_or_else(|| "—".to_owned(), |p95| crate::units::human_ms(p95 as f64 / 1000.0));
        let left = length.saturating_sub(progress.elapsed).as_secs();
        let text = format!("{part}, {left} s left, {} calls, {} errors, p95 {p95}", grouped(progress.calls), grouped(progress.errors));
        match &self.bar {
            Some(bar) => {
                bar.set_length(length.as_millis() as u64);
                bar.set_position(progress.elapsed.as_millis() as u64);
                bar.set_message(text);
            }
            None => self.line(&text),
        }
    }

    /// Takes what the run reports about once a second.
    pub(super) fn update(&self, phase: Phase, progress: &Progress) {
        let (part, length, done) = match phase {
            Phase::WarmUp => ("warming up", self.warm_up, progress.elapsed),
            Phase::Measured => ("measuring", self.duration, self.warm_up + progress.elapsed),
        };
        let p95 = progress.p95_us.map_or_else(|| "—".to_owned(), |p95| crate::units::human_ms(p95 as f64 / 1000.0));
        let mut left = length.saturating_sub(progress.elapsed);
        if let Some(calls) = self.max_calls.filter(|_| phase == Phase::Measured && progress.rate > 0) {
            left = left.min(Duration::from_secs(calls.saturating_sub(progress.calls) / progress.rate));
        }
        let (rate, calls, errors) = (grouped(progress.rate), grouped(progress.calls), grouped(progress.errors));
        let text = format!("{part}, {} s left, {rate} calls/s, p95 {p95}, {calls} calls, {errors} errors", left.as_secs());
        match &self.bar {
            Some(bar) => {
                bar.set_position(done.as_millis() as u64);
                bar.set_message(text);
            }
            None => self.line(&text),
        }
    }

    /// Prints a line that stays, above the bar where there is one.
    pub(super) fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| output::notice(&format!("{}: {text}", self.name))),
            None => output::notice(&format!("{}: {text}", self.name)),
        }
    }

    fn line(&self, text: &str) {
        let mut last = self.last_line.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if last.is_none_or(|at| at.elapsed() >= LINE_EVERY) {
            *last = Some(Instant::now());
            output::notice(&format!("{}: {text}", self.name));
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

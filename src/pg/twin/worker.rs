//! A thread with a runtime, and a connection to a database of its own, so that workers never wait for each other.

use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Runtime};

use super::error::TwinError;
use super::session::Session;

type Job = Box<dyn FnOnce(&Runtime, &mut Session) + Send>;

/// A worker; dropping it ends its thread.
#[derive(Debug)]
pub(super) struct Worker {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts the thread; the session connects at its first job.
    pub(super) fn start(mut session: Session) -> Result<Self, TwinError> {
        let runtime = runtime()?;
        let (jobs, inbox) = mpsc::channel::<Job>();
        let work = move || {
            while let Ok(job) = inbox.recv() {
                job(&runtime, &mut session);
            }
        };
        let thread = std::thread::Builder::new().name("pgload-twin".to_owned()).spawn(work);
        let thread = thread.map_err(|error| TwinError::Worker(error.to_string()))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Hands the worker a job and returns at once; the answer comes through the channel.
    pub(super) fn send<T: Send + 'static>(&self, job: impl FnOnce(&Runtime, &mut Session) -> T + Send + 'static) -> Receiver<T> {
        let (answer, receiver) = mpsc::channel();
        if let Some(jobs) = &self.jobs {
            // A worker that has gone drops the job, and with it the sender: the receiver then says so.
            let _ = jobs.send(Box::new(move |runtime, session| drop(answer.send(job(runtime, session)))));
        }
        receiver
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Makes the runtime of one thread.
pub(super) fn runtime() -> Result<Runtime, TwinError> {
    Builder::new_current_thread().enable_all().build().map_err(|error| TwinError::Worker(error.to_string()))
}

/// Waits for a worker's answer.
pub(super) fn answer<T>(receiver: &Receiver<T>) -> Result<T, TwinError> {
    receiver.recv().map_err(|_| TwinError::Worker("its thread ended".to_owned()))
}

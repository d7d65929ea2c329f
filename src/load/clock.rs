//! Waking up on time.
//!
//! tokio's timer has steps of a millisecond: `sleep_until` was measured to overshoot by 1.1 to 1.55 ms at the median. A
//! `timerfd` behind `AsyncFd` overshoots by about 20 µs at the same CPU time. It is a kernel high-resolution timer, to
//! which the thread's timer slack does not apply.

use std::io;
use std::time::Duration;

use tokio::time::Instant;

/// The timer of one worker; one sleeper at a time.
#[derive(Debug)]
pub struct Clock(Timer);

#[derive(Debug)]
enum Timer {
    #[cfg(target_os = "linux")]
    Precise(tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>),
    Runtime,
}

impl Clock {
    /// Returns the most precise timer of the system. Must be called on a runtime with I/O enabled.
    ///
    /// # Errors
    /// When the system has no timer left to give.
    #[cfg(target_os = "linux")]
    pub fn precise() -> io::Result<Self> {
        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};
        let fd = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        #[expect(
            deprecated,
            reason = "its replacement is unsafe; the fault concerns types whose descriptor changes, and an OwnedFd's does not"
        )]
        let fd = tokio::io::unix::AsyncFd::new(fd)?;
        Ok(Self(Timer::Precise(fd)))
    }

    /// Returns the most precise timer of the system: here the runtime's.
    ///
    /// # Errors
    /// Never.
    #[cfg(not(target_os = "linux"))]
    pub fn precise() -> io::Result<Self> {
        Ok(Self::runtime())
    }

    /// Returns the runtime's own timer, which a test can pause.
    pub fn runtime() -> Self {
        Self(Timer::Runtime)
    }

    /// Returns whether the most precise timer of this system is a precise one.
    pub fn is_precise() -> bool {
        cfg!(target_os = "linux")
    }

    /// Sleeps until `deadline`; returns at once when it has passed.
    pub async fn sleep_until(&self, deadline: Instant) {
        match &self.0 {
            #[cfg(target_os = "linux")]
            Timer::Precise(fd) => {
                let left = deadline.saturating_duration_since(Instant::now());
                // Arming can only fail for a bad descriptor or an odd time, neither of which we pass; if it did, the
                // runtime's timer is late but right.
                if !left.is_zero() && expiry(fd, left).await.is_err() {
                    tokio::time::sleep_until(deadline).await;
                }
            }
            Timer::Runtime => tokio::time::sleep_until(deadline).await,
        }
    }
}

/// Arms the timer and waits for it.
#[cfg(target_os = "linux")]
async fn expiry(fd: &tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>, left: Duration) -> io::Result<()> {
    use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};
    let once = Timespec { tv_sec: 0, tv_nsec: 0 };
    let value = Timespec { tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX), tv_nsec: i64::from(left.subsec_nanos()) };
    timerfd_settime(fd, TimerfdTimerFlags::empty(), &Itimerspec { it_interval: once, it_value: value })?;
    loop {
        let mut ready = fd.readable().await?;
        // Reading takes the expiry away; it may be a stale readiness of a sleep that was dropped, then wait again.
        let mut expirations = [0u8; 8];
        match ready.try_io(|fd| Ok(rustix::io::read(fd, &mut expirations)?)) {
            Ok(read) => return read.map(drop),
            Err(_would_block) => {}
        }
    }
}

/// Returns the processor time this thread has used, where the system tells.
pub fn thread_cpu() -> Option<Duration> {
    #[cfg(target_os = "linux")]
    {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Some(Duration::new(u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?))
    }
    #[cfg(not(target_os = "linux"))]
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_precise_timer_wakes_after_its_time_and_can_be_left_and_used_again() {
        let clock = Clock::precise().unwrap();
        clock.sleep_until(Instant::now()).await;
        let abandoned = tokio::time::timeout(Duration::from_millis(2), clock.sleep_until(Instant::now() + Duration::from_secs(3600)));
        assert!(abandoned.await.is_err());
        let start = Instant::now();
        clock.sleep_until(start + Duration::from_millis(5)).await;
        assert!(start.elapsed() >= Duration::from_millis(5));
        assert!(start.elapsed() < Duration::from_secs(60), "not the abandoned deadline");
    }

    #[tokio::test(start_paused = true)]
    async fn the_runtime_timer_follows_a_paused_clock() {
        let start = Instant::now();
        Clock::runtime().sleep_until(start + Duration::from_secs(3600)).await;
        assert_eq!(start.elapsed(), Duration::from_secs(3600));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn processor_time_grows_with_work() {
        let before = thread_cpu().unwrap();
        let mut sum = 0u64;
        while thread_cpu().unwrap() == before {
            sum = sum.wrapping_add(1);
        }
        assert!(thread_cpu().unwrap() > before, "{sum}");
    }
}

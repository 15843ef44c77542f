//! A session at work: waits for what comes next (bytes, answers, commands, time), acts on it, and sends what there is to send.

use std::convert::Infallible;
use std::io;

use tokio::time::Instant;

use super::admission::expires_in;
use super::client::Command;
use super::reason::Reason;
use super::session::{End, MonitorSession, Session, SessionRole};
use crate::monitors::{Delivery, Stopped};
use crate::scan::Answer;

enum Event {
    Commanded,
    Answered(Answer),
    Delivered(Result<Delivery, Stopped>),
    Read(io::Result<usize>),
    Timer,
}

impl Session {
    /// Serves the client to its end.
    pub(super) async fn run(mut self: Box<Self>) {
        let end = match self.serve().await {
            Err(end) => end,
            Ok(never) => match never {},
        };
        self.finish(end).await;
    }

    async fn serve(&mut self) -> Result<Infallible, End> {
        self.take_back_offline();
        self.catch_up()?;
        // A client need not wait for CONNACK: what it sent with CONNECT is here already, and the socket may stay silent.
        self.take_input()?;
        loop {
            self.turn().await?;
        }
    }

    async fn turn(&mut self) -> Result<(), End> {
        loop {
            self.apply_commands()?;
            self.send().await?;
            if !self.presence.client.commands().has(Command::ANY) {
                break;
            }
        }
        match self.event().await {
            Event::Commanded => {}
            Event::Answered(answer) => {
                self.answered(answer);
                while let Some(scans) = self.role.scans()
                    && let Ok(answer) = scans.answers.try_recv()
                {
                    self.answered(answer);
                }
            }
            Event::Delivered(Ok(delivery)) => self.deliver(delivery).await?,
            Event::Delivered(Err(Stopped)) => return Err(End::Closed(Reason::SHUTTING_DOWN)),
            Event::Read(Ok(0) | Err(_)) => return Err(End::Lost),
            Event::Read(Ok(_)) => {}
            Event::Timer => self.on_timer()?,
        }
        self.take_input()
    }

    async fn event(&mut self) -> Event {
        let due = self.due();
        if due < self.timer.deadline() || self.timer.is_elapsed() {
            self.timer.as_mut().reset(due);
        }
        let reading = self.reads();
        let room = self.takes_deliveries();
        tokio::select! {
            biased;
            () = self.presence.client.commanded() => Event::Commanded,
            event = self.role.event(room) => event,
            read = self.wire.read(), if reading => Event::Read(read),
            () = self.timer.as_mut() => Event::Timer,
        }
    }

    /// Sends what may be sent, in as few writes as possible.
    async fn send(&mut self) -> Result<(), End> {
        loop {
            self.send_waiting_status();
            let dropped = self.outbox.write(&mut self.wire.out, &self.intake);
            self.context.metrics.outbox_dropped.inc_by(dropped);
            if self.wire.out.is_empty() {
                return Ok(());
            }
            let sent = tokio::select! {
                biased;
                sent = self.wire.flush() => sent,
                () = self.presence.client.must_end() => return self.apply_commands(),
            };
            if let Err(error) = sent {
                if error.kind() == io::ErrorKind::TimedOut {
                    self.context.metrics.write_timeouts.inc();
                }
                return Err(End::Lost);
            }
        }
    }

    fn apply_commands(&mut self) -> Result<(), End> {
        let pending = self.presence.client.commands();
        if pending.has(Command::REVOKED) {
            return Err(End::Closed(Reason::ADMINISTRATIVE_ACTION));
        }
        if pending.has(Command::TAKEOVER) {
            return Err(End::Closed(Reason::SESSION_TAKEN_OVER));
        }
        if pending.has(Command::SHUTDOWN) {
            self.presence.client.applied(Command::SHUTDOWN);
            self.stopping = Some(Instant::now() + self.context.config.answer_timeout());
        }
        if pending.has(Command::CONFIG) {
            self.presence.client.applied(Command::CONFIG);
            self.send_config()?;
        }
        if pending.has(Command::DECISIONS) {
            self.presence.client.applied(Command::DECISIONS);
            let told = self.presence.client.take_pending_decisions();
            self.send_pending_decisions(told);
        }
        let unanswered = self.role.scans().is_some_and(|scans| scans.len() > 0);
        match self.stopping {
            Some(until) if !unanswered || until <= Instant::now() => Err(End::Closed(Reason::SHUTTING_DOWN)),
            _ => Ok(()),
        }
    }

    fn on_timer(&mut self) -> Result<(), End> {
        let now = Instant::now();
        if self.expires_at <= now {
            let left = expires_in(&self.context, &self.presence.client.identity);
            if left.is_zero() {
                return Err(End::Closed(Reason::MAXIMUM_CONNECT_TIME));
            }
            self.expires_at = now + left;
        }
        if self.reads() && self.last_packet + self.silence_max <= now {
            self.context.metrics.keep_alive_timeouts.inc();
            return Err(End::Closed(Reason::KEEP_ALIVE_TIMEOUT));
        }
        let timeout = self.context.config.answer_timeout();
        while let Some(scans) = self.role.scans()
            && let Some(ticket) = scans.overdue(timeout)
        {
            self.tell_unavailable(ticket, "no-answer-in-time");
        }
        if let Some(scans) = self.role.scans()
            && scans.retry_is_due()
        {
            scans.retry(&self.context.scans);
        }
        Ok(())
    }

    /// When the timer has something to do next.
    fn due(&mut self) -> Instant {
        let silent_at = self.reads().then(|| self.last_packet + self.silence_max);
        let timeout = self.context.config.answer_timeout();
        let scans_at = self.role.scans().and_then(|scans| scans.due(timeout));
        let others = [silent_at, scans_at, self.paused_until, self.stopping];
        others.into_iter().flatten().fold(self.expires_at, Instant::min)
    }

    fn reads(&self) -> bool {
        !self.blocked && self.paused_until.is_none() && self.stopping.is_none()
    }
}

impl SessionRole {
    /// The next event beside the socket and the clock. May be dropped without losing one.
    async fn event(&mut self, room: bool) -> Event {
        match self {
            Self::Door(role) => match role.scans.answers.recv().await {
                Some(answer) => Event::Answered(answer),
                None => std::future::pending().await,
            },
            Self::Monitor(role) => {
                let MonitorSession { connection, retained, helper, .. } = &mut **role;
                let answered = async {
                    match helper {
                        Some(helper) => helper.scans.answers.recv().await,
                        None => None,
                    }
                };
                tokio::select! {
                    biased;
                    Some(answer) = answered => Event::Answered(answer),
                    delivery = connection.next(), if room && retained.is_empty() => Event::Delivered(delivery),
                    else => std::future::pending().await,
                }
            }
        }
    }
}

//! How a visitor or the sweep enters a wake-up: the one under way, or a new one with its own driver.

use std::sync::Arc;

use tokio::{sync::oneshot, time::Instant};

use super::{
    driver::Driver,
    idling::{Idling, NotIdled},
    inner::{Inner, Wakes},
    snapshot::FIRST,
    wake::{Listener, Mandate, Wake},
};
use crate::{app::AppId, host::Host, progress::Reason, sleep::decide::By, start::Start, step};

impl Inner {
    /// Enters the wake-up of a host's app, for a visitor who listens.
    pub(super) fn attach(
        self: &Arc<Self>,
        host: &Host,
        mandate: Mandate,
    ) -> Result<Listener, Reason> {
        let app = self.cluster.find(host)?;
        // Visitors who only watch may do so without a time limit.
        let (mandate, ends) = match mandate {
            Mandate::Wake if !self.may_start(&app) => (
                Mandate::Watch,
                Some(Instant::now() + self.settings.deadline),
            ),
            _ => (mandate, None),
        };
        let mut wakes = self.wakes();
        let wake = self.enter(&mut wakes, &app, Some(host), mandate);
        // Still under the lock of the wake-ups: a driver whose wake-up has no listeners ends.
        Ok(Listener::new(wake, host.clone(), ends))
    }

    /// Whether visitors may start an app.
    pub(super) fn may_start(&self, app: &AppId) -> bool {
        let observation = self.cluster.observe(app);
        !observation.is_ok_and(|app| app.start == Start::Never)
    }

    /// Enters the wake-up of an app, with at least this mandate.
    pub(super) fn enter(
        self: &Arc<Self>,
        wakes: &mut Wakes,
        app: &AppId,
        host: Option<&Host>,
        mandate: Mandate,
    ) -> Arc<Wake> {
        let Some(wake) = wakes.get(app).cloned() else {
            return self.begin(wakes, app, host, mandate);
        };
        let before = wake.mandate();
        if !wake.accepts(host, mandate) {
            return self.begin(wakes, app, host, mandate);
        }
        if before < Mandate::Wake && mandate == Mandate::Wake {
            self.wake_companions(wakes, app);
        }
        wake
    }

    /// Wakes what hosts of an app need besides it. Each of these has its own companions: that ends, since it begins nothing
    /// that is being woken already.
    fn wake_companions(self: &Arc<Self>, wakes: &mut Wakes, app: &AppId) {
        for other in self.cluster.companions(app) {
            let is_waking =
                |wake: &Arc<Wake>| wake.mandate() == Mandate::Wake && !wake.phase().is_terminal();
            if !wakes.get(&other).is_some_and(is_waking) {
                self.enter(wakes, &other, None, Mandate::Wake);
            }
        }
    }

    /// Begins a new wake-up, which replaces any other.
    pub(super) fn begin(
        self: &Arc<Self>,
        wakes: &mut Wakes,
        app: &AppId,
        host: Option<&Host>,
        mandate: Mandate,
    ) -> Arc<Wake> {
        let wake = self.replace(wakes, app, host, mandate);
        self.tasks
            .spawn(Driver::new(Arc::clone(self), Arc::clone(&wake), None).run());
        if mandate == Mandate::Wake {
            self.wake_companions(wakes, app);
        }
        wake
    }

    /// Begins an attempt to put an app to sleep, which replaces everything else that is under way. Returns how to learn
    /// its outcome.
    pub(super) fn begin_idling(
        self: &Arc<Self>,
        wakes: &mut Wakes,
        app: &AppId,
        by: By,
    ) -> oneshot::Receiver<Result<(), NotIdled>> {
        let wake = self.replace(wakes, app, None, Mandate::Idle);
        let (idling, outcome) = Idling::new(by);
        self.tasks
            .spawn(Driver::new(Arc::clone(self), wake, Some(idling)).run());
        outcome
    }

    fn replace(
        &self,
        wakes: &mut Wakes,
        app: &AppId,
        host: Option<&Host>,
        mandate: Mandate,
    ) -> Arc<Wake> {
        let phase = match mandate {
            Mandate::Wake => FIRST,
            Mandate::Watch | Mandate::Finish | Mandate::Idle => {
                step::phase(&self.cluster.observe(app))
            }
        };
        let wake = Arc::new(Wake::new(
            app.clone(),
            host,
            mandate,
            phase,
            self.shutdown.child_token(),
        ));
        if let Some(replaced) = wakes.insert(app.clone(), Arc::clone(&wake)) {
            replaced.cancel();
        }
        wake
    }
}

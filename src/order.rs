//! The order in which the workloads of an app wake and fall asleep: a workload wakes after those that it needs, and
//! falls asleep before them.
//!
//! Workloads that need each other, directly or indirectly, have no order, and none of them waits for the other.

use std::collections::HashSet;

use crate::app::{App, ObjectId, Workload};

/// Whether everything that a workload needs is available. Workers of needed workloads are not waited for.
pub(crate) fn may_wake(app: &App, workload: &Workload) -> bool {
    let is_needed = |need: &Workload| needs(app, workload).any(|id| *id == need.id);
    let mut waiting = app.waiting();
    !waiting.any(|need| is_needed(need) && !depends(app, need, workload))
}

/// The next workload to scale to zero: the app's own come first, and each comes before those that it needs. A workload
/// that something awake uses stays awake.
pub(crate) fn next_to_idle(app: &App) -> Option<&Workload> {
    let (needs, own): (Vec<_>, Vec<_>) = up(app).partition(|workload| workload.bonds.is_need);
    let is_free = |workload: &&Workload| {
        !is_in_use(app, workload) && !up(app).any(|user| uses(app, user, workload))
    };
    own.into_iter().chain(needs).find(is_free)
}

/// A workload of the app itself that is needed by something else that is awake.
pub(crate) fn own_in_use(app: &App) -> Option<&Workload> {
    let (mut stay, mut others): (Vec<_>, Vec<_>) =
        up(app).partition(|workload| is_in_use(app, workload));
    loop {
        let is_used = |workload: &mut &Workload| stay.iter().any(|user| uses(app, user, workload));
        let used: Vec<_> = others.extract_if(.., is_used).collect();
        if used.is_empty() {
            break;
        }
        stay.extend(used);
    }
    stay.into_iter().find(|workload| !workload.bonds.is_need)
}

fn up(app: &App) -> impl Iterator<Item = &Workload> {
    let workloads = app.workloads.iter();
    workloads.filter(|workload| workload.replicas > 0)
}

fn is_in_use(app: &App, workload: &Workload) -> bool {
    workload.bonds.is_in_use || owner(app, workload).is_some_and(|owner| owner.bonds.is_in_use)
}

/// Whether a workload needs another one that does not need it in turn. Needing a workload means needing its workers as
/// well.
fn uses(app: &App, user: &Workload, need: &Workload) -> bool {
    needs(app, user).any(|id| is(need, id)) && !depends(app, need, user)
}

/// Whether a workload has this identifier, or is a worker of the one that has it.
fn is(workload: &Workload, id: &ObjectId) -> bool {
    *id == workload.id || Some(id) == workload.bonds.of.as_ref()
}

/// Whether a workload needs another one, directly or not.
fn depends(app: &App, user: &Workload, need: &Workload) -> bool {
    let (mut seen, mut left) = (HashSet::new(), vec![user]);
    while let Some(user) = left.pop() {
        for id in needs(app, user) {
            if is(need, id) {
                return true;
            }
            if seen.insert(id) {
                left.extend(app.workloads.iter().find(|other| other.id == *id));
            }
        }
    }
    false
}

/// The needs of a workload, including those of the workload that it is a worker of.
fn needs<'a>(app: &'a App, workload: &'a Workload) -> impl Iterator<Item = &'a ObjectId> {
    let owner = owner(app, workload).into_iter();
    let inherited = owner.flat_map(|owner| &owner.bonds.needs);
    workload.bonds.needs.iter().chain(inherited)
}

fn owner<'a>(app: &'a App, workload: &Workload) -> Option<&'a Workload> {
    let id = workload.bonds.of.as_ref()?;
    app.workloads.iter().find(|other| other.id == *id)
}

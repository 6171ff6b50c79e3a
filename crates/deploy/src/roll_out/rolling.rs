//! Rolling: the copies of a service are replaced batch by batch.
//!
//! While it lasts the pool keeps the name of the old release and has copies of both: those of the old one that have not
//! left, and as its guests those of the new one that have joined. One acknowledged epoch per step, and a copy is stopped
//! only when the edge has drained it. Every batch can be undone, so a failure in the last one leads back to the whole
//! old release; the switch itself only takes the rest of the old copies away.
//!
//! The first copies that join are watched beside the old ones for the service's `soak` time, and looked at again after
//! every later batch: a release that does worse leads back to the old copies before more of them have gone.

pub mod steps;

use saga::Step;

use super::{Params, RollOut, migration, soak, steps as common};

/// What is replaced in one go: first old copies leave, then new ones come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// How many old copies serve before it, and after.
    pub old: (u32, u32),
    /// How many new copies serve before it, and after.
    pub new: (u32, u32),
}

impl Batch {
    /// The last of the old copies leave first, so that those that stay are always the first ones.
    pub fn leaving(&self) -> Vec<u32> {
        (self.old.1 + 1..=self.old.0).collect()
    }

    pub fn coming(&self) -> Vec<u32> {
        (self.new.0 + 1..=self.new.1).collect()
    }
}

/// The batches in which so many old copies become so many new ones; the old ones that are left then go with the switch.
/// There are never more copies than usual and `surge`, and never fewer that serve than usual less `unavailable`.
pub fn batches(old: u32, new: u32, rolling: spec::Rolling) -> Vec<Batch> {
    let most = old.max(new) + rolling.surge;
    let least = old.min(new).saturating_sub(rolling.unavailable);
    let (mut here, mut there) = (old, 0);
    let mut batches = Vec::new();
    while there < new {
        // Those that are not needed leave; when there is room neither way, one must.
        let spare = (here + there).saturating_sub(least).min(here);
        let leaving = if here + there - spare >= most { spare.max(1).min(here) } else { spare };
        let coming = most.saturating_sub(here - leaving + there).clamp(1, new - there);
        batches.push(Batch { old: (here, here - leaving), new: (there, there + coming) });
        (here, there) = (here - leaving, there + coming);
    }
    batches
}

/// Whether any old copy goes before all new ones are there; otherwise it is a blue-green release with several copies.
pub fn rolls(params: &Params) -> bool {
    of(params).iter().any(|batch| !batch.leaving().is_empty())
}

fn of(params: &Params) -> Vec<Batch> {
    batches(params.previous_copies, params.release.copies, params.release.plan.rolling)
}

pub fn line(params: &Params) -> Vec<Step<RollOut>> {
    let mut line = vec![Step::new("pin", common::pin).undo(common::unpin)];
    line.extend(migration(params));
    line.extend(super::make_way_first(params));
    let mut is_first = true;
    for (index, batch) in of(params).into_iter().enumerate() {
        let name = |word: &str| format!("{word}-{}", index + 1);
        if !batch.leaving().is_empty() {
            line.extend(leave(name, &batch));
        }
        // Without an old copy beside it there is nothing to compare a new one with.
        let is_watched = params.watches_batches() && batch.old.1 > 0;
        if is_watched && is_first {
            line.push(Step::new("measure", soak::measure_both).no_undo("it only looks"));
        }
        let copies = batch.new.1;
        line.extend(come(name, &batch));
        if is_watched {
            line.push(
                Step::new(name("watch"), move |w, p, f| soak::batch(w, p, f, copies, is_first))
                    .no_undo("it only looks"),
            );
            is_first = false;
        }
    }
    line.extend(super::make_way_late(params));
    line.extend([
        Step::new("switch", common::switch).undo(common::switch_back).commits(),
        Step::new("drain", common::drain).no_undo("waiting changes nothing"),
        Step::new("retire", common::retire_previous).no_undo("nobody is sent to the previous release any more"),
    ]);
    line.extend(super::take_away(params));
    line
}

fn leave(name: impl Fn(&str) -> String, batch: &Batch) -> [Step<RollOut>; 3] {
    let (out, back, stop, start) = (batch.clone(), batch.clone(), batch.clone(), batch.clone());
    [
        Step::new(name("leave"), move |w, p, _| steps::leave(w, p, out.old.1))
            .undo(move |w, p, _| steps::leave(w, p, back.old.0)),
        Step::new(name("drain"), |w, p, f| steps::drain(w, p, f)).no_undo("waiting changes nothing"),
        Step::new(name("stop"), move |w, p, _| steps::stop(w, p, stop.leaving()))
            .undo(move |w, p, _| steps::bring_back(w, p, start.leaving())),
    ]
}

fn come(name: impl Fn(&str) -> String, batch: &Batch) -> [Step<RollOut>; 3] {
    let (start, failed, judge, join, part) =
        (batch.clone(), batch.clone(), batch.clone(), batch.clone(), batch.clone());
    [
        Step::new(name("start"), move |w, p, f| steps::start(w, p, f, start.coming()))
            .undo(move |w, p, _| steps::keep_failed(w, p, failed.coming())),
        Step::new(name("healthy"), move |w, p, f| steps::healthy(w, p, f, judge.clone())).no_undo("it only looks"),
        Step::new(name("join"), move |w, p, _| steps::join(w, p, join.new.1))
            .undo(move |w, p, _| steps::part(w, p, part.new.0)),
    ]
}

#[cfg(test)]
mod tests {
    use spec::Rolling;

    use super::*;

    /// The batches as `leaving/coming`.
    fn told(old: u32, new: u32, surge: u32, unavailable: u32) -> Vec<String> {
        let batches = batches(old, new, Rolling { surge, unavailable });
        batches.iter().map(|batch| format!("{}/{}", batch.leaving().len(), batch.coming().len())).collect()
    }

    #[test]
    fn one_comes_before_one_goes() {
        assert_eq!(told(3, 3, 1, 0), ["0/1", "1/1", "1/1"]);
        assert_eq!(told(4, 4, 2, 0), ["0/2", "2/2"]);
    }

    #[test]
    fn without_room_for_more_one_goes_before_one_comes() {
        assert_eq!(told(3, 3, 0, 1), ["1/1", "1/1", "1/1"]);
        assert_eq!(told(1, 1, 0, 0), ["1/1"], "what nobody should write still ends");
    }

    #[test]
    fn another_number_of_copies_is_reached_on_the_way() {
        assert_eq!(told(1, 3, 1, 0), ["0/3"], "there is room for all of them, so none has to go first");
        assert_eq!(told(5, 2, 1, 0), ["3/2"]);
        assert_eq!(told(2, 5, 1, 0), ["0/4", "2/1"]);
    }

    #[test]
    fn whatever_is_asked_for_all_new_copies_come_and_the_bounds_hold() {
        for (old, new, surge, unavailable) in
            (1..6).flat_map(|o| (1..6).flat_map(move |n| (0..4).flat_map(move |s| (0..3).map(move |u| (o, n, s, u)))))
        {
            let rolling = Rolling { surge, unavailable };
            let all = batches(old, new, rolling);
            assert_eq!(all.last().unwrap().new.1, new);
            assert_eq!(all.first().unwrap().old.0, old);
            if surge + unavailable == 0 {
                continue;
            }
            for batch in all {
                assert!(batch.old.1 + batch.new.1 <= old.max(new) + surge.max(1), "{batch:?}");
                let least = old.min(new).saturating_sub(unavailable);
                assert!(batch.old.1 + batch.new.0 >= least, "{rolling:?} {old} {new} {batch:?}");
            }
        }
    }
}

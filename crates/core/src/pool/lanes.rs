//! Who came in which order, over all workers and for each of them?
//!
//! Members live in a slab and are linked into two lists, the common one and their worker's. Joining and leaving
//! anywhere costs a few pointers and never memory, but for a worker's first member.

use slab::Slab;

use super::WorkerId;

/// The common list and one list for each worker, in order of arrival.
#[derive(Default)]
pub(super) struct Lanes {
    all: Ends,
    own: Vec<Ends>,
    len: usize,
}

impl Lanes {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Who has been here longest.
    pub(super) fn first(&self) -> Option<usize> {
        self.all.first.map(widen)
    }

    /// Who came last.
    pub(super) fn last(&self) -> Option<usize> {
        self.all.last.map(widen)
    }

    /// Who of this worker's has been here longest.
    pub(super) fn first_of(&self, worker: WorkerId) -> Option<usize> {
        self.own.get(usize::from(worker.0)).and_then(|ends| ends.first).map(widen)
    }

    /// Who of this worker's came last.
    pub(super) fn last_of(&self, worker: WorkerId) -> Option<usize> {
        self.own.get(usize::from(worker.0)).and_then(|ends| ends.last).map(widen)
    }

    /// Those of this worker's, who came last first.
    pub(super) fn back_of<'a, T: Member>(
        &'a self,
        members: &'a Slab<T>,
        worker: WorkerId,
    ) -> impl Iterator<Item = usize> + 'a {
        std::iter::successors(self.last_of(worker), |&key| members.get(key)?.links().own.before.map(widen))
    }

    /// All of them, who came last first.
    pub(super) fn back<'a, T: Member>(&'a self, members: &'a Slab<T>) -> impl Iterator<Item = usize> + 'a {
        std::iter::successors(self.last(), |&key| members.get(key)?.links().all.before.map(widen))
    }

    /// All of them, longest here first.
    pub(super) fn iter<'a, T: Member>(&'a self, members: &'a Slab<T>) -> impl Iterator<Item = usize> + 'a {
        std::iter::successors(self.first(), |&key| members.get(key)?.links().all.after.map(widen))
    }

    /// Joins at the end.
    pub(super) fn push<T: Member>(&mut self, members: &mut Slab<T>, key: usize, worker: WorkerId) {
        let key = u32::try_from(key).expect("slabs stay far below 2³² members");
        let lane = usize::from(worker.0);
        if self.own.len() <= lane {
            self.own.resize(lane + 1, Ends::default());
        }
        member(members, key).links_mut().worker = worker;
        append(&mut self.all, members, key, Links::common);
        if let Some(own) = self.own.get_mut(lane) {
            append(own, members, key, Links::workers);
        }
        self.len += 1;
    }

    /// Leaves from wherever it is. It must be a member.
    pub(super) fn remove<T: Member>(&mut self, members: &mut Slab<T>, key: usize) {
        let key = u32::try_from(key).expect("slabs stay far below 2³² members");
        let lane = usize::from(member(members, key).links_mut().worker.0);
        unlink(&mut self.all, members, key, Links::common);
        if let Some(own) = self.own.get_mut(lane) {
            unlink(own, members, key, Links::workers);
        }
        self.len -= 1;
    }
}

/// What can stand in lanes.
pub(super) trait Member {
    fn links(&self) -> &Links;
    fn links_mut(&mut self) -> &mut Links;
}

/// A member's neighbours in both lists.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Links {
    worker: WorkerId,
    all: Neighbours,
    own: Neighbours,
}

impl Links {
    fn common(&mut self) -> &mut Neighbours {
        &mut self.all
    }

    fn workers(&mut self) -> &mut Neighbours {
        &mut self.own
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Neighbours {
    before: Option<u32>,
    after: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Ends {
    first: Option<u32>,
    last: Option<u32>,
}

type Side = fn(&mut Links) -> &mut Neighbours;

#[inline]
fn append<T: Member>(ends: &mut Ends, members: &mut Slab<T>, key: u32, side: Side) {
    *side(member(members, key).links_mut()) = Neighbours { before: ends.last, after: None };
    match ends.last {
        Some(last) => side(member(members, last).links_mut()).after = Some(key),
        None => ends.first = Some(key),
    }
    ends.last = Some(key);
}

#[inline]
fn unlink<T: Member>(ends: &mut Ends, members: &mut Slab<T>, key: u32, side: Side) {
    let Neighbours { before, after } = std::mem::take(side(member(members, key).links_mut()));
    match before {
        Some(before) => side(member(members, before).links_mut()).after = after,
        None => ends.first = after,
    }
    match after {
        Some(after) => side(member(members, after).links_mut()).before = before,
        None => ends.last = before,
    }
}

fn member<T>(members: &mut Slab<T>, key: u32) -> &mut T {
    members.get_mut(widen(key)).expect("who stands in a lane lives: it leaves the lane before the slab")
}

fn widen(key: u32) -> usize {
    key as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Person(Links);

    impl Member for Person {
        fn links(&self) -> &Links {
            &self.0
        }
        fn links_mut(&mut self) -> &mut Links {
            &mut self.0
        }
    }

    #[test]
    fn everybody_stands_in_the_common_list_and_in_their_workers() {
        let (mut people, mut lanes) = (Slab::new(), Lanes::default());
        for worker in [0, 1, 0, 2, 1] {
            let key = people.insert(Person(Links::default()));
            lanes.push(&mut people, key, WorkerId(worker));
        }
        assert_eq!(lanes.iter(&people).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert_eq!((lanes.first_of(WorkerId(1)), lanes.last_of(WorkerId(1))), (Some(1), Some(4)));
        assert_eq!((lanes.first_of(WorkerId(9)), lanes.last_of(WorkerId(9))), (None, None));

        assert_eq!(lanes.back(&people).collect::<Vec<_>>(), [4, 3, 2, 1, 0]);
        assert_eq!(lanes.back_of(&people, WorkerId(0)).collect::<Vec<_>>(), [2, 0]);

        lanes.remove(&mut people, 1);
        lanes.remove(&mut people, 4);
        assert_eq!(lanes.iter(&people).collect::<Vec<_>>(), [0, 2, 3]);
        assert_eq!((lanes.first_of(WorkerId(1)), lanes.last(), lanes.len()), (None, Some(3), 3));

        lanes.push(&mut people, 1, WorkerId(2));
        lanes.remove(&mut people, 0);
        assert_eq!(lanes.iter(&people).collect::<Vec<_>>(), [2, 3, 1]);
        assert_eq!(lanes.last_of(WorkerId(2)), Some(1));
    }
}

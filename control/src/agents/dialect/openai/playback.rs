//! Whose audio is where in what was said on a connection, so that what is dropped unheard can be
//! named.

use std::collections::VecDeque;

/// The assistant's audio, in the order in which it is played. Milliseconds count from the
/// connection's first sample, without what was dropped.
#[derive(Debug, Default)]
pub(super) struct Playback {
    pieces: VecDeque<Piece>,
    /// Where the last piece ends.
    end_ms: f64,
}

/// Audio of one item, up to the next piece.
#[derive(Debug, Clone)]
struct Piece {
    item: String,
    content_index: u64,
    /// Where it begins.
    from_ms: f64,
    /// How much of its item comes before it: items may take turns.
    into_ms: f64,
    /// The server knows already that its item was not heard to the end.
    is_cut: bool,
}

/// An item that was not heard to its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) item: String,
    pub(super) content_index: u64,
    /// Of the item's audio.
    pub(super) heard_ms: u64,
}

impl Cut {
    fn is_of(&self, piece: &Piece) -> bool {
        self.item == piece.item && self.content_index == piece.content_index
    }
}

impl Playback {
    /// Audio of an item was said behind everything else.
    pub(super) fn say(&mut self, item: &str, content_index: u64, ms: f64) {
        let (from_ms, ends) = (self.end_ms, self.ends());
        self.end_ms += ms;
        let same = |piece: &Piece| piece.item == item && piece.content_index == content_index;
        if self.pieces.back().is_some_and(same) {
            return;
        }
        let before = self.pieces.iter().zip(ends).rfind(|(piece, _)| same(piece));
        let (into_ms, is_cut) = before.map_or((0.0, false), |(piece, end_ms)| {
            (piece.into_ms + end_ms - piece.from_ms, piece.is_cut)
        });
        let item = item.to_owned();
        self.pieces.push_back(Piece { item, content_index, from_ms, into_ms, is_cut });
        if self.pieces.len() > PIECES_MAX {
            self.pieces.pop_front();
        }
    }

    /// Everything was heard.
    pub(super) fn forget(&mut self) {
        self.pieces.clear();
    }

    /// After `played_ms` were heard, the next `dropped_ms` were dropped. What was said behind them
    /// is played from there on.
    pub(super) fn cut(&mut self, played_ms: u64, dropped_ms: u64) -> Vec<Cut> {
        let from_ms = played_ms as f64;
        let mut to_ms = from_ms + dropped_ms as f64;
        if self.end_ms - to_ms < ROUNDING_MS {
            to_ms = self.end_ms.max(from_ms);
        }
        let (ends, mut cuts) = (self.ends(), Vec::<Cut>::new());
        for (piece, end_ms) in std::mem::take(&mut self.pieces).into_iter().zip(ends) {
            let lost_from = piece.from_ms.max(from_ms);
            if lost_from >= end_ms.min(to_ms) {
                // What is behind the gap moves up; what was heard stays, for what may follow it.
                let shift = if piece.from_ms >= to_ms { to_ms - from_ms } else { 0.0 };
                self.pieces.push_back(Piece { from_ms: piece.from_ms - shift, ..piece });
                continue;
            }
            if !piece.is_cut && !cuts.iter().any(|cut| cut.is_of(&piece)) {
                let heard_ms = (piece.into_ms + lost_from - piece.from_ms) as u64;
                let (item, content_index) = (piece.item.clone(), piece.content_index);
                cuts.push(Cut { item, content_index, heard_ms });
            }
            let into_ms = piece.into_ms + to_ms - piece.from_ms;
            let behind = Piece { from_ms, into_ms, ..piece.clone() };
            self.pieces.extend((piece.from_ms < from_ms).then_some(piece));
            self.pieces.extend((end_ms > to_ms).then_some(behind));
        }
        for piece in &mut self.pieces {
            piece.is_cut |= cuts.iter().any(|cut| cut.is_of(piece));
        }
        self.end_ms -= to_ms - from_ms;
        cuts
    }

    /// Of each piece.
    fn ends(&self) -> Vec<f64> {
        let begins = self.pieces.iter().skip(1).map(|piece| piece.from_ms);
        begins.chain([self.end_ms]).collect()
    }
}

/// What is played is told in whole milliseconds: what is left behind a gap and no longer than this
/// was dropped with it.
const ROUNDING_MS: f64 = 2.0;
/// Two minutes of pieces of 100 ms; of a model that says more nothing further back is followed.
const PIECES_MAX: usize = 1_200;

#[cfg(test)]
mod tests {
    use super::*;

    /// What was said, then what was heard and dropped; items and what was heard of them.
    fn check(said: &[(&str, u32)], drops: &[(u64, u64)], expected: &[(&str, u64)]) {
        let mut playback = Playback::default();
        for (item, ms) in said {
            playback.say(item, 0, f64::from(*ms));
        }
        let cuts = drops.iter().flat_map(|(played, dropped)| playback.cut(*played, *dropped));
        let cuts: Vec<_> = cuts.map(|cut| (cut.item, cut.heard_ms)).collect();
        let cuts: Vec<_> = cuts.iter().map(|(item, ms)| (item.as_str(), *ms)).collect();
        assert_eq!(cuts, expected, "{said:?} {drops:?}");
    }

    #[test]
    fn what_was_not_heard_is_named_with_how_much_of_it_was() {
        let two = [("a", 500), ("b", 500)];
        check(&two, &[(200, 800)], &[("a", 200), ("b", 0)]);
        check(&two, &[(500, 500)], &[("b", 0)]);
        check(&two, &[(620, 380)], &[("b", 120)]);
        check(&two, &[(1_000, 0)], &[]);
        // What was on its way is heard behind the gap, and may be dropped later.
        check(&two, &[(200, 300), (450, 250)], &[("a", 200), ("b", 250)]);
        check(&two, &[(200, 100), (300, 0), (600, 300)], &[("a", 200), ("b", 200)]);
        // Told in whole milliseconds.
        check(&two, &[(619, 380), (619, 0)], &[("b", 119)]);
    }

    #[test]
    fn items_that_take_turns_are_each_measured_by_their_own_audio() {
        let turns = [("a", 100), ("b", 100), ("a", 100), ("b", 100), ("a", 100)];
        check(&turns, &[(250, 250)], &[("a", 150), ("b", 100)]);
        check(&turns, &[(50, 450)], &[("a", 50), ("b", 0)]);
        check(&turns, &[(450, 50)], &[("a", 250)]);
        check(&turns, &[(350, 100), (360, 90)], &[("b", 150), ("a", 200)]);
    }

    #[test]
    fn an_item_that_goes_on_after_silence_counts_from_its_beginning() {
        let mut playback = Playback::default();
        playback.say("a", 0, 300.0);
        assert_eq!(playback.cut(300, 0), []);
        playback.say("a", 0, 300.0);
        let cut = |heard_ms| [Cut { item: "a".into(), content_index: 0, heard_ms }];
        assert_eq!(playback.cut(400, 200), cut(400));
        playback.forget();
        playback.say("b", 0, 100.0);
        assert_eq!(playback.cut(420, 80)[0].heard_ms, 20);
    }
}

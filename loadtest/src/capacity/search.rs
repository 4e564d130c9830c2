//! The search itself: which load to try next, and when the answer is known. Pure.

/// How far to search, and how finely.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// First load to try.
    pub from: u64,
    /// Largest load to try.
    pub most: u64,
    /// The answer is known when the lowest load that broke is at most this share above the highest
    /// that held.
    pub precision: f64,
}

/// What came of a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The pass line held.
    Held,
    /// It did not.
    Broke,
    /// The generator was the limit: nothing is known about the target.
    Unknown,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Try this load.
    Try(u64),
    /// The answer is known.
    Done(Answer),
}

/// What the search found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The highest load that held, whenever it was tried; 0 when none did.
    pub held: u64,
    /// The lowest load that broke twice; `None` when none did.
    pub broke: Option<u64>,
    /// The generator could not go further.
    pub generator_was_the_limit: bool,
}

/// Doubles the load until it breaks, then halves the distance between what held and what broke.
///
/// A machine that others use too breaks now and then under a load that it holds well, and holds
/// under luck what it cannot hold for long. So a load counts as broken only when it broke twice, and
/// the answer must have held twice.
#[derive(Debug)]
pub struct Search {
    bounds: Bounds,
    held: u64,
    /// How often the highest load that held did so.
    times_held: u32,
    broke: Option<u64>,
    /// The lowest load that need not be tried again: it broke, or the generator cannot make it.
    ceiling: Option<u64>,
    /// The load that is tried now, and how often it broke and was unknown.
    load: u64,
    breaks: u32,
    unknowns: u32,
    /// The lowest load that the generator could not make.
    limited_at: Option<u64>,
}

impl Search {
    /// A search that knows nothing yet.
    pub fn new(bounds: Bounds) -> Self {
        let bounds = Bounds { from: bounds.from.clamp(1, bounds.most.max(1)), ..bounds };
        Self {
            bounds,
            held: 0,
            times_held: 0,
            broke: None,
            ceiling: None,
            load: bounds.from,
            breaks: 0,
            unknowns: 0,
            limited_at: None,
        }
    }

    /// What to do now.
    pub fn next(&self) -> Next {
        if self.load > 0 {
            return Next::Try(self.load);
        }
        Next::Done(self.so_far())
    }

    /// What is known now.
    pub fn so_far(&self) -> Answer {
        // Below a load that broke it is the target's line that was found, whatever was tried above.
        let limited = self.limited_at.filter(|at| self.broke.is_none_or(|broke| *at < broke));
        let generator_was_the_limit = limited.is_some();
        Answer { held: self.held, broke: self.broke, generator_was_the_limit }
    }

    /// What came of the load that was to be tried.
    pub fn tell(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Held => self.tell_held(),
            Outcome::Broke => {
                self.breaks += 1;
                if self.breaks == 2 {
                    self.tell_broke();
                }
            }
            Outcome::Unknown => {
                self.unknowns += 1;
                if self.unknowns == 2 {
                    self.tell_limited();
                }
            }
        }
    }

    fn tell_held(&mut self) {
        if self.load == self.held {
            self.times_held += 1;
        } else {
            (self.held, self.times_held) = (self.load, 1);
        }
        self.choose();
    }

    fn tell_broke(&mut self) {
        self.broke = Some(self.load);
        self.close();
    }

    /// The generator cannot go as high: what holds below is the answer, as a lower bound.
    fn tell_limited(&mut self) {
        self.limited_at = Some(self.load);
        self.close();
    }

    fn close(&mut self) {
        self.ceiling = Some(self.load);
        if self.load == self.held {
            // That it held was luck.
            (self.held, self.times_held) = (0, 0);
        }
        self.choose();
    }

    fn choose(&mut self) {
        (self.breaks, self.unknowns) = (0, 0);
        let end = self.ceiling.unwrap_or(self.bounds.most + 1);
        let distance = end - self.held;
        let is_near = distance <= 1 || distance as f64 <= self.held as f64 * self.bounds.precision;
        self.load = match self.held {
            // A fifth lower, and at last nowhere.
            0 => end * 4 / 5,
            _ if is_near => self.confirm(),
            held if self.ceiling.is_none() => (held * 2).min(self.bounds.most),
            held => held + distance / 2,
        };
    }

    /// The answer once more, or nothing more.
    fn confirm(&self) -> u64 {
        if self.times_held < 2 { self.held } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { from: 50, most: 10_000, precision: 0.05 };

    /// Searches with this judge, which is told the load and the number of the try.
    fn search(bounds: Bounds, judge: impl Fn(u64, u32) -> Outcome) -> (Answer, u32) {
        let mut search = Search::new(bounds);
        for tries in 0..200 {
            match search.next() {
                Next::Try(load) => {
                    assert!((1..=bounds.most).contains(&load), "{load}");
                    search.tell(judge(load, tries));
                }
                Next::Done(answer) => return (answer, tries),
            }
        }
        panic!("the search does not end: {search:?}");
    }

    fn limit(limit: u64) -> impl Fn(u64, u32) -> Outcome {
        move |load, _| if load <= limit { Outcome::Held } else { Outcome::Broke }
    }

    #[test]
    fn the_line_is_found_from_both_sides() {
        for at in [1, 7, 49, 50, 51, 100, 777, 1_600, 9_999] {
            let (answer, tries) = search(BOUNDS, limit(at));
            assert!(
                answer.held <= at && answer.held as f64 >= at as f64 * 0.94,
                "{at}: {answer:?}"
            );
            assert!(answer.broke.is_some_and(|broke| broke > at), "{at}: {answer:?}");
            assert!(tries <= 50, "{at}: {tries} tries");
        }
    }

    #[test]
    fn a_target_that_holds_nothing_or_everything_is_told_as_such() {
        let (answer, _) = search(BOUNDS, limit(0));
        assert_eq!((answer.held, answer.broke), (0, Some(1)));
        let (answer, _) = search(BOUNDS, limit(u64::MAX));
        assert_eq!(answer, Answer { held: 10_000, broke: None, generator_was_the_limit: false });
    }

    #[test]
    fn a_generator_at_its_end_gives_a_lower_bound() {
        let judge = |load: u64, _| match load {
            0..=900 => Outcome::Held,
            _ => Outcome::Unknown,
        };
        let (answer, _) = search(BOUNDS, judge);
        assert!(answer.generator_was_the_limit && answer.broke.is_none(), "{answer:?}");
        assert!((800..=900).contains(&answer.held), "{answer:?}");
        // Unknown above, but the line lies below that.
        let judge = |load: u64, _| match load {
            0..=700 => Outcome::Held,
            701..=900 => Outcome::Broke,
            _ => Outcome::Unknown,
        };
        let (answer, _) = search(BOUNDS, judge);
        assert!(!answer.generator_was_the_limit && answer.broke.is_some(), "{answer:?}");
        let (answer, _) = search(BOUNDS, |_, _| Outcome::Unknown);
        assert_eq!((answer.held, answer.generator_was_the_limit), (0, true));
    }

    #[test]
    fn one_hiccup_does_not_move_the_answer_and_one_stroke_of_luck_neither() {
        // Breaks once at a load that it holds.
        let hiccup = |load: u64, tries| match (load, tries) {
            (_, 2) => Outcome::Broke,
            (0..=777, _) => Outcome::Held,
            _ => Outcome::Broke,
        };
        let (answer, _) = search(BOUNDS, hiccup);
        assert!((730..=777).contains(&answer.held), "{answer:?}");
        // Holds once at a load that it does not hold.
        let luck = |load: u64, tries| match (load, tries) {
            (0..=777, _) | (_, 4) => Outcome::Held,
            _ => Outcome::Broke,
        };
        let (answer, _) = search(BOUNDS, luck);
        assert!((600..=777).contains(&answer.held), "{answer:?}");
    }
}

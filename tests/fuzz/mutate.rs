//! Inputs made of other inputs: pieces cut out, doubled, moved or taken from another one, words of the format put in,
//! numbers and single bytes changed. No grammar: what is nearly right finds more than what is right.

use sluice_core::retry::SplitMix64;

/// Longer inputs find nothing that shorter ones do not, and take longer.
const LONGEST: usize = 4096;

const NUMBERS: [&str; 12] = [
    "0",
    "-1",
    "1",
    "007",
    "2147483648",
    "-9223372036854775808",
    "9223372036854775808",
    "1e400",
    "1e-400",
    "0.5",
    "18446744073709551616",
    "99999999999999999999999999",
];

/// Makes inputs out of a corpus and the words of a format.
pub struct Mutator {
    random: SplitMix64,
    corpus: Vec<Vec<u8>>,
    words: Vec<Vec<u8>>,
}

impl Mutator {
    pub fn new(seed: u64, corpus: Vec<Vec<u8>>, words: Vec<Vec<u8>>) -> Mutator {
        Mutator {
            random: SplitMix64::new(seed),
            corpus,
            words,
        }
    }

    /// The next input: one of the corpus, changed in one to six places.
    pub fn next_input(&mut self) -> Vec<u8> {
        let mut input = self.some_of_corpus();
        for _ in 0..=self.below(6) {
            self.change(&mut input);
        }
        input.truncate(LONGEST);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let (start, end) = self.range(input);
        match self.below(9) {
            0 => drop(input.drain(start..end)),
            1 => drop(input.splice(start..start, input[start..end].to_vec())),
            2 => {
                let piece: Vec<u8> = input.drain(start..end).collect();
                let at = self.below(input.len() + 1);
                input.splice(at..at, piece);
            }
            3 => {
                let other = self.some_of_corpus();
                let (from, to) = self.range(&other);
                input.splice(start..end, other[from..to].iter().copied());
            }
            4 => drop(input.splice(start..start, self.some_word())),
            5 => drop(input.splice(start..end, self.some_word())),
            6 => self.change_number(input, start),
            7 if start < input.len() => input[start] ^= 1 << self.below(8),
            _ => input.insert(start, self.random.next_u64() as u8),
        }
    }

    /// Puts another number in the place of the one that comes next.
    fn change_number(&mut self, input: &mut Vec<u8>, from: usize) {
        let is_digit = |at: &usize| input[*at].is_ascii_digit();
        let Some(start) = (from..input.len()).find(is_digit) else {
            return;
        };
        let end = (start..input.len()).find(|at| !is_digit(at)).unwrap_or(input.len());
        let number = NUMBERS[self.below(NUMBERS.len())];
        input.splice(start..end, number.bytes());
    }

    fn some_of_corpus(&mut self) -> Vec<u8> {
        let at = self.below(self.corpus.len());
        self.corpus.get(at).cloned().unwrap_or_default()
    }

    fn some_word(&mut self) -> Vec<u8> {
        let at = self.below(self.words.len());
        self.words.get(at).cloned().unwrap_or_default()
    }

    /// A piece of an input, mostly a short one.
    fn range(&mut self, input: &[u8]) -> (usize, usize) {
        let start = self.below(input.len() + 1);
        let longest = if self.below(4) == 0 { input.len() } else { 16 };
        (start, (start + self.below(longest + 1)).min(input.len()))
    }

    fn below(&mut self, end: usize) -> usize {
        (self.random.next_u64() % end.max(1) as u64) as usize
    }
}

/// The words of a file in libFuzzer's form: `"…"` a line, with `\\`, `\"` and `\xNN`.
pub fn words(file: &str) -> Vec<Vec<u8>> {
    let quoted = file
        .lines()
        .filter_map(|line| line.trim().strip_prefix('"')?.strip_suffix('"'));
    quoted.map(unescaped).collect()
}

fn unescaped(word: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = word.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after
            .strip_prefix(b"x")
            .and_then(|code| std::str::from_utf8(code.get(..2)?).ok());
        let (byte, length) = match (first, code.and_then(|code| u8::from_str_radix(code, 16).ok())) {
            (b'\\', Some(byte)) => (byte, 4),
            (b'\\', None) => (after.first().copied().unwrap_or(b'\\'), 2),
            _ => (*first, 1),
        };
        bytes.push(byte);
        rest = rest.get(length..).unwrap_or_default();
    }
    bytes
}

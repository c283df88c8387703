//! Numerics that fit a machine word: a 64-bit integer and a power of ten. Nearly all are such, so arithmetic on columns of them is a
//! few instructions a value and allocates nothing. What doesn't fit answers `None`, and goes the long way in `mod.rs`.

use std::cmp::Ordering;

/// `mantissa` / 10^`scale`, shown with `scale` digits after the point.
///
/// |mantissa| ≤ `i64::MAX`, so that it can always be negated, and scale ≤ [`Decimal::SCALE_MAX`].
#[derive(Clone, Copy, Debug)]
pub struct Decimal {
    pub mantissa: i64,
    pub scale: u8,
}

const POWERS: [u64; 20] = {
    let mut powers = [1; 20];
    let mut index = 1;
    while index < 20 {
        powers[index] = powers[index - 1] * 10;
        index += 1;
    }
    powers
};

fn power(exponent: u8) -> i128 {
    i128::from(POWERS[usize::from(exponent)])
}

impl Decimal {
    /// A power of ten up to this fits the mantissa's type too.
    pub const SCALE_MAX: u8 = 18;
    pub const ZERO: Decimal = Decimal { mantissa: 0, scale: 0 };

    pub fn new(mantissa: i128, scale: i32) -> Option<Decimal> {
        let mantissa = i64::try_from(mantissa).ok().filter(|mantissa| *mantissa != i64::MIN)?;
        let scale = u8::try_from(scale).ok().filter(|scale| *scale <= Decimal::SCALE_MAX)?;
        Some(Decimal { mantissa, scale })
    }

    /// At a scale that is no smaller.
    #[inline]
    pub fn mantissa_at(self, scale: u8) -> Option<i128> {
        let more = scale.checked_sub(self.scale).filter(|more| *more <= Decimal::SCALE_MAX)?;
        Some(i128::from(self.mantissa) * power(more))
    }

    /// Both mantissas at the larger scale. They don't overflow: 19 digits and 18 more are under 38.
    fn aligned(self, other: Decimal) -> (i128, i128, u8) {
        let (a, b) = (i128::from(self.mantissa), i128::from(other.mantissa));
        match self.scale.cmp(&other.scale) {
            Ordering::Equal => (a, b, self.scale),
            Ordering::Less => (a * power(other.scale - self.scale), b, other.scale),
            Ordering::Greater => (a, b * power(self.scale - other.scale), self.scale),
        }
    }

    #[inline]
    pub fn add(self, other: Decimal) -> Option<Decimal> {
        if self.scale == other.scale {
            let mantissa = self.mantissa.checked_add(other.mantissa)?;
            return (mantissa != i64::MIN).then_some(Decimal { mantissa, scale: self.scale });
        }
        let (a, b, scale) = self.aligned(other);
        Decimal::new(a + b, i32::from(scale))
    }

    #[inline]
    pub fn neg(self) -> Decimal {
        Decimal { mantissa: -self.mantissa, ..self }
    }

    #[inline]
    pub fn mul(self, other: Decimal) -> Option<Decimal> {
        let product = i128::from(self.mantissa) * i128::from(other.mantissa);
        Decimal::new(product, i32::from(self.scale) + i32::from(other.scale))
    }

    /// The remainder with the dividend's sign; `other` is not zero.
    pub fn rem(self, other: Decimal) -> Option<Decimal> {
        let (a, b, scale) = self.aligned(other);
        Decimal::new(a % b, i32::from(scale))
    }

    #[inline]
    pub fn compare(self, other: Decimal) -> Ordering {
        if self.scale == other.scale {
            return self.mantissa.cmp(&other.mantissa);
        }
        let (a, b, _) = self.aligned(other);
        a.cmp(&b)
    }

    /// To `scale` digits after the point (negative: before it), half away from zero or truncated.
    pub fn cut(self, scale: i32, round: bool) -> Option<Decimal> {
        let dropped = i32::from(self.scale) - scale;
        let shown = scale.max(0);
        if dropped <= 0 {
            return Decimal::new(
                i128::from(self.mantissa) * power(u8::try_from(-dropped).ok().filter(|more| *more < 20)?),
                shown,
            );
        }
        let Some(unit) = POWERS.get(dropped as usize) else { return Decimal::new(0, shown) };
        let (quotient, rest) = (self.mantissa.unsigned_abs() / unit, self.mantissa.unsigned_abs() % unit);
        let up = round && rest >= unit - rest;
        let magnitude = i128::from(quotient) + i128::from(up);
        let zeros = u8::try_from(-scale.min(0)).ok().filter(|zeros| *zeros < 20)?;
        Decimal::new(magnitude * power(zeros) * i128::from(self.mantissa.signum()), shown)
    }

    /// The same value without zeros at the end: an integer times 10^-scale. Zero has scale 0.
    pub fn stripped(self) -> (i64, i32) {
        let (mut mantissa, mut scale) = (self.mantissa, i32::from(self.scale));
        if mantissa == 0 {
            return (0, 0);
        }
        while mantissa % 10 == 0 {
            mantissa /= 10;
            scale -= 1;
        }
        (mantissa, scale)
    }

    /// Decimal digits before the point; negative: how many zeros are between it and the first digit. Not of zero.
    pub fn whole_digits(self) -> i32 {
        self.mantissa.unsigned_abs().ilog10() as i32 + 1 - i32::from(self.scale)
    }

    /// Correctly rounded; `None` where one division can't promise that.
    pub fn to_f64(self) -> Option<f64> {
        const EXACT_MAX: u64 = 1 << 53;
        let exact = self.mantissa.unsigned_abs() <= EXACT_MAX;
        // Powers of ten up to 10^22 are exact doubles.
        exact.then(|| self.mantissa as f64 / POWERS[usize::from(self.scale)] as f64)
    }

    pub fn write_text(self, out: &mut Vec<u8>) {
        if self.mantissa < 0 {
            out.push(b'-');
        }
        // From the end: 19 digits, a zero before the point, and the point.
        let mut text = [b'0'; 21];
        let (mut start, mut rest) = (text.len(), self.mantissa.unsigned_abs());
        for place in 0.. {
            if rest == 0 && place > self.scale {
                break;
            }
            if place == self.scale && place > 0 {
                start -= 1;
                text[start] = b'.';
            }
            start -= 1;
            text[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        out.extend_from_slice(&text[start..]);
    }
}

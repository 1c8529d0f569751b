/**
 * Decimal numbers as JSON writes them, exactly: `coefficient` × 10^`exponent`, and no power of ten is left in the
 * coefficient. A double is the decimal that its shortest text says, which is what its author wrote if that had no more
 * than 15 digits.
 */
export type Decimal = { coefficient: bigint; exponent: number };

const NUMBER = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/;
/** More digits than anybody counts with. The work of a comparison grows with them. */
export const MAX_DIGITS = 1_000;
/** Exponents beyond it say nothing that this one does not. */
const MAX_EXPONENT = 1e15;

const ZERO: Decimal = { coefficient: 0n, exponent: 0 };

/** Undefined if the text is no number of JSON (RFC 8259, section 6), or has more than {@link MAX_DIGITS} digits. */
export function parseDecimal(text: string): Decimal | undefined {
  const found = NUMBER.exec(text);
  if (!found) return undefined;
  const [, sign, whole = '', fraction = '', power = '0'] = found;
  const digits = `${whole}${fraction}`.replace(/^0+/, '');
  if (digits === '') return ZERO;
  let end = digits.length;
  while (digits[end - 1] === '0') end--;
  if (end > MAX_DIGITS) return undefined;
  const given = Number(power);
  const exponent = Math.max(-MAX_EXPONENT, Math.min(MAX_EXPONENT, given)) - fraction.length + (digits.length - end);
  const coefficient = BigInt(digits.slice(0, end));
  return { coefficient: sign ? -coefficient : coefficient, exponent };
}

/** Of a finite double. */
export const toDecimal = (n: number): Decimal => parseDecimal(String(n))!;

/** Below 0, 0 or above 0, as `a` is less than, equal to or greater than `b`. */
export function compareDecimals(a: Decimal, b: Decimal): number {
  const [signOfA, signOfB] = [signOf(a), signOf(b)];
  if (signOfA !== signOfB || signOfA === 0) return signOfA - signOfB;
  // Numbers of other magnitudes are not written out: there may be millions of zeros between them.
  const magnitudes = magnitudeOf(a) - magnitudeOf(b);
  if (magnitudes !== 0) return signOfA * magnitudes;
  const least = Math.min(a.exponent, b.exponent);
  const scaled = ({ coefficient, exponent }: Decimal) => coefficient * 10n ** BigInt(exponent - least);
  const [left, right] = [scaled(a), scaled(b)];
  return left === right ? 0 : left < right ? -1 : 1;
}

/** Whether `a` is an integer times `step`, which is not 0. */
export function isMultipleOf(a: Decimal, step: Decimal): boolean {
  if (a.coefficient === 0n) return true;
  const shift = a.exponent - step.exponent;
  // The step has powers of ten that `a` lacks.
  if (shift < 0) return false;
  const divisor = step.coefficient < 0n ? -step.coefficient : step.coefficient;
  return ((a.coefficient % divisor) * powerOfTen(shift, divisor)) % divisor === 0n;
}

export const isWhole = ({ exponent }: Decimal): boolean => exponent >= 0;

const signOf = ({ coefficient }: Decimal) => (coefficient > 0n ? 1 : coefficient < 0n ? -1 : 0);

/** The place of the first digit. */
const magnitudeOf = ({ coefficient, exponent }: Decimal) =>
  exponent + (coefficient < 0n ? -coefficient : coefficient).toString().length;

/** 10^exponent modulo `divisor`, by squaring. */
function powerOfTen(exponent: number, divisor: bigint): bigint {
  let result = 1n % divisor;
  let base = 10n % divisor;
  for (let left = BigInt(exponent); left > 0n; left >>= 1n) {
    if (left & 1n) result = (result * base) % divisor;
    base = (base * base) % divisor;
  }
  return result;
}

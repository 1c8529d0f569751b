/**
 * How hard a text is to guess, in bits. An estimate from the text alone, in the manner of zxcvbn (Wheeler, USENIX Security
 * 2016): what repeats, counts or reads like a language is worth little, everything else as much as a random choice from
 * the characters that the text uses. Random hex, base64 and passwords get nearly what they have.
 */
export function secretBits(text: string): number {
  const characters = [...text];
  const perCharacter = bitsPerCharacter(text);
  const language = languageMask(characters);
  let bits = 0;
  for (let at = 0; at < characters.length; ) {
    const pattern = Math.max(repeatedAt(characters, at), sequenceAt(characters, at));
    if (pattern >= MIN_PATTERN) {
      bits += BITS_PER_PATTERN;
      at += pattern;
      continue;
    }
    bits += language[at] ?? perCharacter;
    at++;
  }
  return bits;
}

/** Three equal or counting characters in a row are common in what is random. */
const MIN_PATTERN = 4;
const BITS_PER_PATTERN = 6;
/** Of a letter of a language: between Shannon's estimate for running text (1.3) and that for single words (2.6). */
const BITS_PER_LETTER = 2;
const BITS_PER_SEPARATOR = 1;
const BITS_PER_DIGIT = Math.log2(10);

/** Random choice from the smallest of the usual alphabets that has them all. */
function bitsPerCharacter(text: string): number {
  if (/^[0-9]*$/.test(text)) return BITS_PER_DIGIT;
  if (/^([0-9a-f]*|[0-9A-F]*)$/.test(text)) return 4;
  let size = 0;
  if (/[a-z]/.test(text)) size += 26;
  if (/[A-Z]/.test(text)) size += 26;
  if (/[0-9]/.test(text)) size += 10;
  if (/[-_+/=]/.test(text)) size += 2;
  if (/[^-_+/=A-Za-z0-9]/.test(text)) size += 30;
  return Math.log2(size);
}

/** The length of what begins here and stands earlier in the text, too. */
function repeatedAt(characters: string[], at: number): number {
  let longest = 0;
  for (let earlier = 0; earlier < at; earlier++) {
    let length = 0;
    while (at + length < characters.length && characters[earlier + length] === characters[at + length]) length++;
    longest = Math.max(longest, length);
  }
  return longest;
}

const KEYBOARD = ['qwertyuiop', 'asdfghjkl', 'zxcvbnm', 'qwertzuiop', 'azertyuiop'];

/** The length of a run that begins here: equal characters, counting up or down, or a row of a keyboard. */
function sequenceAt(characters: string[], at: number): number {
  const code = (i: number) => characters[i]?.codePointAt(0) ?? Number.NaN;
  const step = code(at + 1) - code(at);
  let length = 1;
  if (Math.abs(step) <= 1) while (code(at + length) - code(at + length - 1) === step) length++;
  const rest = characters
    .slice(at, at + 10)
    .join('')
    .toLowerCase();
  for (const row of KEYBOARD) {
    let typed = 0;
    const from = row.indexOf(rest[0] ?? '\0');
    if (from >= 0) while (typed < rest.length && row[from + typed] === rest[typed]) typed++;
    length = Math.max(length, typed);
  }
  return length;
}

/** The pairs of letters that make up 86 % of English text; of random letters 22 %. */
const COMMON_PAIRS = new Set(
  (
    'abacadagaialamanaparasatauaybabeblbucacechckcoctdadedidodseaecedeeefelemeneperesetevexfafifogehahehi' +
    'hoicidieigiliminioirisitivkelaldlelilllolsltlulymamemimompnancndnengnonsntobocodolomonoooporosotouov' +
    'owpapeplpoppprptrarcrerirnrorrrsrtruryscsesisospssstsutatethtitotrtstttutyueulumunurusutvavewawhwiyo'
  ).match(/../g),
);
/** What stands in secrets that people make up, and has rare pairs. */
const WORDS =
  /webhook|passw(or)?d|secret|token|hook|whsec|key|api|sign(ing)?|test|admin|demo|live|prod|stag(e|ing)|local/gi;

/** What people write for letters: `s3cr3t`. */
const LOOKALIKES: Record<string, string> = {
  0: 'o',
  1: 'i',
  3: 'e',
  4: 'a',
  5: 's',
  7: 't',
  '@': 'a',
  $: 's',
  '!': 'i',
};

/**
 * For each character the bits that it has as a part of a word, or of what stands between words; undefined elsewhere. All
 * undefined if less than half of the text is words: random text has some that look like it.
 */
function languageMask(characters: string[]): (number | undefined)[] {
  // As long as the list: each place is one character. Letters of other scripts are a language's.
  const text = characters.map((one) => (/^[\x20-\x7e]$/.test(one) ? one : /^\p{L}$/u.test(one) ? 'é' : '\0')).join('');
  const none = characters.map(() => undefined);
  if (/^[0-9a-f]*$/i.test(text) && (text.match(/[0-9]/g)?.length ?? 0) >= 3) return none;
  const mask: (number | undefined)[] = [...none];
  const mark = (from: number, length: number, bits: number) => mask.fill(bits, from, from + length);
  for (const { 0: run, index } of text.matchAll(/[A-Z]?[a-z]+|[A-Z]+|é+/g)) {
    if (run.startsWith('é') || isLanguage(run.toLowerCase())) mark(index, run.length, BITS_PER_LETTER);
  }
  const plain = text.replace(/[013457@$!]/g, (one) => LOOKALIKES[one]!);
  for (const { 0: word, index } of plain.matchAll(WORDS)) mark(index, word.length, BITS_PER_LETTER);
  if (mask.filter((bits) => bits !== undefined).length * 2 < characters.length) return none;
  // What is short beside a word is one more word, a year, or a separator.
  const isWord = (at: number) => mask[at] !== undefined;
  for (const { 0: part, index } of text.matchAll(/[A-Za-z]+|[0-9]+|[^A-Za-z0-9é]/g)) {
    if (part.length > 4 || isWord(index)) continue;
    if (!isWord(index - 1) && !isWord(index + part.length)) continue;
    const bits = /^[0-9]/.test(part) ? BITS_PER_DIGIT : /^[A-Za-z]/.test(part) ? BITS_PER_LETTER : BITS_PER_SEPARATOR;
    mark(index, part.length, bits);
  }
  return mask;
}

/** Whether most pairs of a run of letters are common ones. Of 16 random letters one run in a hundred is taken for a word. */
function isLanguage(run: string): boolean {
  if (run.length < MIN_PATTERN) return false;
  let common = 0;
  for (let i = 0; i + 1 < run.length; i++) if (COMMON_PAIRS.has(run.slice(i, i + 2))) common++;
  return common / (run.length - 1) >= (run.length < 8 ? 0.5 : 0.6);
}

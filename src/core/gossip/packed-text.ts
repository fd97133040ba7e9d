/**
 * Texts as few bytes, which come out again letter by letter. Ten thousand records are the same few texts with other values
 * in them, and half of the values are ids that thousands of them share. So a text is taken apart into a shape, which is
 * kept once, and values: a number for one that is shared, half as many bytes for hexadecimal digits, else a byte for a letter.
 *
 * What a text means is none of its business: what looks like JSON is taken apart at its quotes, and whatever is between
 * them comes back as it was. Scales: a few microseconds for a text; shapes and shared words are never forgotten, which is
 * why shapes have a bound and only ids are shared.
 */

import { type Parts, type Shape, type SharedFields, shapeOf, takeApart, valuesOf } from './text-shape.ts';

/** How a piece of text is written: in the low bits of its head, above which are its length, or the number of a word. */
const KINDS = { word: 0, hex: 1, latin: 2, wide: 3 } as const;
const LEAST_HEX = 8;
const MOST_SHAPES = 1_000;
/** Beyond these, texts of fields that should be shared are written as others are. */
const MOST_WORDS = 100_000;
/** Numbers of shapes: there is no text, and one that is kept as it is. */
const [GONE, PLAIN, FIRST_SHAPE] = [0, 1, 2];
/** Letters that one call makes a text of. */
const LETTERS_AT_ONCE = 4_096;

type NumberedShape = Shape & { readonly number: number };

/** Writes into `bytes`, up to `length`; reads from any bytes. */
export class PackedTexts {
  bytes = new Uint8Array(1_024);
  length = 0;
  /** Where reading goes on. */
  at = 0;
  readonly #options: SharedFields;
  readonly #words: string[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #shapes: NumberedShape[] = [];
  readonly #shapesByText = new Map<string, NumberedShape>();
  /** That the last text of a group had: most of a group have the same. */
  readonly #lastShapes: (NumberedShape | undefined)[] = [];

  constructor(options: SharedFields) {
    this.#options = options;
  }

  /** The number of a word that is shared from now on; the first is 1. */
  share(word: string): number {
    const known = this.#numbers.get(word);
    if (known !== undefined) return known;
    const number = this.#words.push(word);
    this.#numbers.set(word, number);
    return number;
  }

  /** Of a shared word; undefined when it is none. */
  numberOf(word: string): number | undefined {
    return this.#numbers.get(word);
  }

  wordOf(number: number): string {
    return this.#words[number - 1]!;
  }

  // ---------------------------------------------------------------- writing

  /** Always as the same bytes, whatever words are shared by then. */
  writeText(text: string): void {
    if (this.length + 2 * text.length + 8 > this.bytes.length) {
      this.bytes = widened(this.bytes, this.length + 2 * text.length + 8);
    }
    if (text.length >= LEAST_HEX && text.length % 2 === 0 && this.#writeHex(text)) return;
    if (!this.#writeLatin(text)) this.#writeWide(text);
  }

  /**
   * Undefined: there is none. `group`: the number of a word for texts that are alike. `own`: a word that this very text
   * shares with what is written beside it. Returns the number of the word that the text is about; 0: it cannot be told.
   */
  writeValue(text: string | undefined, group: number, own: string): number {
    if (text === undefined) {
      this.#writeNumber(GONE);
      return 0;
    }
    let shape = this.#lastShapes[group];
    let values: readonly string[] | undefined = shape && valuesOf(text, shape);
    if (!values) {
      const parts = takeApart(text);
      shape = parts && this.#numbered(parts);
      values = parts?.values;
      this.#lastShapes[group] = shape;
    }
    if (!shape || !values) {
      this.#writeNumber(PLAIN);
      this.writeText(text);
      return 0;
    }
    this.#writeNumber(shape.number);
    let subject = 0;
    for (let i = 0; i < values.length; i++) {
      const value = values[i]!;
      if (value === own) this.#writeNumber(KINDS.word);
      else {
        const number = shape.kinds[i] === 'shared' ? this.#shared(value) : undefined;
        if (number === undefined) this.writeText(value);
        else this.#writeNumber(number * 4 + KINDS.word);
        if (i === shape.subject) subject = number ?? 0;
      }
    }
    return subject;
  }

  #writeNumber(value: number): void {
    if (this.length + 8 > this.bytes.length) this.bytes = widened(this.bytes, this.length + 8);
    let rest = value;
    for (; rest > 0x7f; rest = Math.floor(rest / 0x80)) this.bytes[this.length++] = (rest & 0x7f) | 0x80;
    this.bytes[this.length++] = rest;
  }

  #writeHex(text: string): boolean {
    const start = this.length;
    this.#writeNumber(text.length * 4 + KINDS.hex);
    const { bytes } = this;
    let at = this.length;
    for (let i = 0; i < text.length; i += 2) {
      const byte = (DIGITS[text.charCodeAt(i)] ?? NONE) * 16 + (DIGITS[text.charCodeAt(i + 1)] ?? NONE);
      if (byte > 0xff) {
        this.length = start;
        return false;
      }
      bytes[at++] = byte;
    }
    this.length = at;
    return true;
  }

  #writeLatin(text: string): boolean {
    const start = this.length;
    this.#writeNumber(text.length * 4 + KINDS.latin);
    const { bytes } = this;
    let at = this.length;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code > 0xff) {
        this.length = start;
        return false;
      }
      bytes[at++] = code;
    }
    this.length = at;
    return true;
  }

  #writeWide(text: string): void {
    this.#writeNumber(text.length * 4 + KINDS.wide);
    const codes = Uint16Array.from({ length: text.length }, (_, i) => text.charCodeAt(i));
    this.bytes.set(new Uint8Array(codes.buffer), this.length);
    this.length += 2 * text.length;
  }

  #shared(word: string): number | undefined {
    return this.#words.length < MOST_WORDS ? this.share(word) : this.#numbers.get(word);
  }

  #numbered(parts: Parts): NumberedShape | undefined {
    if (parts.fixed.some((part) => part.includes('\0'))) return undefined;
    const text = parts.fixed.join('\0');
    const known = this.#shapesByText.get(text);
    if (known || this.#shapes.length === MOST_SHAPES) return known;
    const shape = { ...shapeOf(parts, this.#options), number: this.#shapes.length + FIRST_SHAPE };
    this.#shapes.push(shape);
    this.#shapesByText.set(text, shape);
    return shape;
  }

  // ---------------------------------------------------------------- reading, from `at` on

  /** `own`: as it was written with. */
  readText(bytes: Uint8Array, own = ''): string {
    const head = this.#readNumber(bytes);
    const kind = head & 3;
    const rest = Math.floor(head / 4);
    if (kind === KINDS.word) return rest === 0 ? own : this.wordOf(rest);
    const start = this.at;
    this.at += [0, rest / 2, rest, 2 * rest][kind]!;
    const codes = bytes.subarray(start, this.at);
    if (kind === KINDS.latin) return lettersOf(codes);
    return lettersOf(kind === KINDS.hex ? digitsOf(codes) : new Uint16Array(codes.slice().buffer));
  }

  /** `own`: as it was written with. */
  readValue(bytes: Uint8Array, own: string): string | undefined {
    const number = this.#readNumber(bytes);
    if (number === GONE) return undefined;
    if (number === PLAIN) return this.readText(bytes);
    const { fixed } = this.#shapes[number - FIRST_SHAPE]!;
    const pieces = [fixed[0]!];
    for (let i = 1; i < fixed.length; i++) pieces.push(this.readText(bytes, own), fixed[i]!);
    return pieces.join('');
  }

  /** What `JSON.parse` makes of the text, which there is. */
  parseValue(bytes: Uint8Array, own: string): unknown {
    const start = this.at;
    const shape = this.#shapes[this.#readNumber(bytes) - FIRST_SHAPE];
    if (shape?.parse) return shape.parse(shape.kinds.map(() => this.readText(bytes, own)));
    this.at = start;
    return JSON.parse(this.readValue(bytes, own)!);
  }

  skipText(bytes: Uint8Array): void {
    const head = this.#readNumber(bytes);
    const length = Math.floor(head / 4);
    this.at += [0, length / 2, length, 2 * length][head & 3]!;
  }

  #readNumber(bytes: Uint8Array): number {
    let value = 0;
    for (let unit = 1; ; unit *= 0x80) {
      const byte = bytes[this.at++]!;
      value += (byte & 0x7f) * unit;
      if (byte < 0x80) return value;
    }
  }
}

/** By the code of a letter, the digit that it is; far above all of them: none. */
const NONE = 0x1000;
const DIGITS = Uint16Array.from({ length: 103 }, (_, code) => {
  const digit = '0123456789abcdef'.indexOf(String.fromCharCode(code));
  return digit < 0 ? NONE : digit;
});
const LETTERS = Uint8Array.from('0123456789abcdef', (letter) => letter.charCodeAt(0));

function digitsOf(bytes: Uint8Array): Uint8Array {
  const codes = new Uint8Array(2 * bytes.length);
  for (let i = 0; i < bytes.length; i++) {
    codes[2 * i] = LETTERS[bytes[i]! >> 4]!;
    codes[2 * i + 1] = LETTERS[bytes[i]! & 15]!;
  }
  return codes;
}

function lettersOf(codes: Uint8Array | Uint16Array): string {
  let text = '';
  for (let at = 0; at < codes.length; at += LETTERS_AT_ONCE) {
    text += String.fromCharCode.apply(undefined, codes.subarray(at, at + LETTERS_AT_ONCE) as unknown as number[]);
  }
  return text;
}

/** With room for that many, and for half as many more. */
export function widened(bytes: Uint8Array, length: number): Uint8Array<ArrayBuffer> {
  const more = new Uint8Array(Math.ceil(1.5 * length));
  more.set(bytes);
  return more;
}

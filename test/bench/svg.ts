/** Bar and line charts as SVG text, as much as the page needs: no scripts, legible on light and dark grounds. */
import { number } from './report.ts';

const WIDTH = 720;
const FONT = 'font-family="system-ui, sans-serif" font-size="12" fill="#24292f"';
const COLOURS = ['#1f6feb', '#d29922', '#8c959f', '#1a7f37', '#8250df'];

export interface Bar {
  readonly label: string;
  readonly value: number;
  readonly low: number;
  readonly high: number;
  readonly colour: number;
}

export interface BarGroup {
  readonly title: string;
  readonly bars: readonly Bar[];
}

export interface Series {
  readonly label: string;
  readonly colour: number;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface Axes {
  readonly xLabel: string;
  readonly yLabel: string;
}

/** A part of a figure, from its own upper edge. */
export interface Panel {
  readonly height: number;
  readonly parts: readonly string[];
}

/** Panels below each other. */
export function renderFigure(panels: readonly Panel[]): string {
  let height = 0;
  const groups = panels.map((panel) => {
    const group = `<g transform="translate(0 ${height})">\n${panel.parts.join('\n')}\n</g>`;
    height += panel.height;
    return group;
  });
  const size = `width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}"`;
  const ground = `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} ${FONT}><title>As measured; the figures are in the table</title>\n${[ground, ...groups].join('\n')}\n</svg>\n`;
}

/** Groups below each other, each with a scale of its own from 0; a thin line from the least to the greatest sample. */
export function drawBars(groups: readonly BarGroup[]): Panel {
  const left = 200;
  const room = WIDTH - left - 90;
  const parts: string[] = [];
  let y = 10;
  for (const { title, bars } of groups) {
    const most = Math.max(...bars.map(({ high }) => high), Number.MIN_VALUE);
    const x = (value: number) => left + (Math.max(0, value) / most) * room;
    parts.push(text(10, y + 12, title, 'font-weight="600"'));
    y += 22;
    for (const { label, value, low, high, colour } of bars) {
      const middle = y + 9;
      parts.push(text(left - 8, y + 13, label, 'text-anchor="end"'));
      parts.push(`<rect x="${left}" y="${y}" width="${px(x(value) - left)}" height="18" fill="${paint(colour)}"/>`);
      parts.push(line([x(low), middle], [x(high), middle], '#24292f'));
      for (const end of [low, high]) parts.push(line([x(end), middle - 4], [x(end), middle + 4], '#24292f'));
      parts.push(text(x(high) + 6, y + 13, number(value) || '0'));
      y += 23;
    }
    y += 12;
  }
  return { height: y, parts };
}

/** From 0 upward; sideways by powers of ten when the points are far apart. */
export function drawLines(series: readonly Series[], { xLabel, yLabel }: Axes): Panel {
  const [left, right, top, bottom] = [70, WIDTH - 40, 50, 220];
  const points = series.flatMap((one) => one.points);
  const xs = [...new Set(points.map(([x]) => x))].sort((a, b) => a - b);
  const [first = 0, last = 1] = [xs[0], xs.at(-1)];
  const scale = first > 0 && last / first >= 20 ? Math.log10 : (value: number) => value;
  const step = niceStep(Math.max(...points.map(([, y]) => y), Number.MIN_VALUE) / 4);
  const most = step * Math.ceil(Math.max(...points.map(([, y]) => y), step) / step);
  const width = scale(last) - scale(first) || 1;
  const at = ([x, y]: readonly [number, number]): readonly [number, number] => [
    left + ((scale(x) - scale(first)) / width) * (right - left),
    bottom - (y / most) * (bottom - top),
  ];
  const parts = [text(10, 16, yLabel, 'font-weight="600"'), text(right, bottom + 36, xLabel, 'text-anchor="end"')];
  for (let y = 0; y <= most * 1.001; y += step) {
    const [, height] = at([first, y]);
    parts.push(
      line([left, height], [right, height], '#d0d7de'),
      text(left - 6, height + 4, number(y), 'text-anchor="end"'),
    );
  }
  for (const x of xs) parts.push(text(at([x, 0])[0], bottom + 18, number(x), 'text-anchor="middle"'));
  series.forEach(({ label, colour, points: own }, index) => {
    const path = own.map((point) => at(point).map(px).join(',')).join(' ');
    parts.push(`<polyline points="${path}" fill="none" stroke="${paint(colour)}" stroke-width="2"/>`);
    for (const [x, y] of own.map(at)) parts.push(`<circle cx="${px(x)}" cy="${px(y)}" r="3" fill="${paint(colour)}"/>`);
    parts.push(`<rect x="${left + index * 170}" y="26" width="12" height="12" fill="${paint(colour)}"/>`);
    parts.push(text(left + index * 170 + 17, 36, label));
  });
  return { height: bottom + 56, parts };
}

/** 1, 2 or 5 times a power of ten, not below the given. */
function niceStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  return power * ([1, 2, 5].find((factor) => factor * power >= least) ?? 10);
}

function paint(colour: number): string {
  return COLOURS[colour % COLOURS.length]!;
}

function px(value: number): string {
  return value.toFixed(1);
}

function line([x1, y1]: readonly [number, number], [x2, y2]: readonly [number, number], colour: string): string {
  return `<line x1="${px(x1)}" y1="${px(y1)}" x2="${px(x2)}" y2="${px(y2)}" stroke="${colour}"/>`;
}

function text(x: number, y: number, words: string, attributes = ''): string {
  const escaped = words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('`', '');
  return `<text x="${px(x)}" y="${px(y)}" ${attributes}>${escaped}</text>`;
}

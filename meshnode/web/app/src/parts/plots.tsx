// Plots of a report, each with its table beside it: what is drawn can be read, heard and copied.
import type { ComponentChildren } from "preact";
import { t } from "../i18n";

interface FigureProps {
  title: string;
  /** The plot in one sentence, for whoever does not see it. */
  words: string;
  head: string[];
  rows: string[][];
  children?: ComponentChildren;
}

export function Figure({ title, words, head, rows, children }: FigureProps) {
  return (
    <figure class="plot">
      <figcaption>{title}</figcaption>
      {children && (
        <div role="img" aria-label={words} class="plot-drawn">
          {children}
        </div>
      )}
      <details open={!children}>
        <summary>{t("report.table")}</summary>
        <div class="table" tabIndex={0} role="region" aria-label={title}>
          <table>
            <thead>
              <tr>
                {head.map((each) => (
                  <th key={each} scope="col">
                    {each}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <tr key={row[0]}>
                  {row.map((cell, at) => (at ? <td key={at}>{cell}</td> : <th key={at} scope="row">{cell}</th>))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </figure>
  );
}

interface Bar {
  name: string;
  parts: number[];
  end: string;
}

/** Shares of a whole, one bar for each row. */
export function Bars({ rows, kinds }: { rows: Bar[]; kinds: string[] }) {
  return (
    <>
      <Key kinds={kinds} />
      {rows.map((row) => {
        const whole = row.parts.reduce((sum, each) => sum + each, 0) || 1;
        let start = 0;
        return (
          <div class="plot-row" key={row.name}>
            <span class="plot-name">{row.name}</span>
            <svg width="100%" height="18" focusable="false">
              {row.parts.map((part, at) => {
                const x = start;
                start += (100 * part) / whole;
                return <rect key={at} x={`${x}%`} y="1" width={`${start - x}%`} height="16" class={`kind-${at}`} />;
              })}
            </svg>
            <span class="plot-end">{row.end}</span>
          </div>
        );
      })}
    </>
  );
}

interface Marks {
  name: string;
  at: (number | null)[];
  end: string;
}

/** Marks on a scale on which equal steps multiply. */
export function Scale({ rows, kinds }: { rows: Marks[]; kinds: string[] }) {
  const longest = Math.log1p(Math.max(60, ...rows.flatMap((row) => row.at.map((each) => each ?? 0))));
  return (
    <>
      <Key kinds={kinds} isRound />
      {rows.map((row) => (
        <div class="plot-row" key={row.name}>
          <span class="plot-name">{row.name}</span>
          <svg width="100%" height="18" focusable="false">
            <line x1="2%" y1="9" x2="98%" y2="9" />
            {row.at.map((each, at) => {
              if (each === null) return null;
              const x = `${2 + (96 * Math.log1p(each)) / longest}%`;
              return at === 0 ? (
                <circle key={at} cx={x} cy="9" r="6" class="kind-0" />
              ) : (
                <svg key={at} x={x} y="9" width="1" height="1" overflow="visible">
                  <rect x="-5" y="-5" width="10" height="10" class={`kind-${at}`} />
                </svg>
              );
            })}
          </svg>
          <span class="plot-end">{row.end}</span>
        </div>
      ))}
    </>
  );
}

function Key({ kinds, isRound = false }: { kinds: string[]; isRound?: boolean }) {
  return (
    <p class="plot-key">
      {kinds.map((each, at) => (
        <span key={each}>
          <svg width="14" height="14" focusable="false">
            {isRound && at === 0 ? (
              <circle cx="7" cy="7" r="6" class="kind-0" />
            ) : (
              <rect x="1" y="1" width="12" height="12" class={`kind-${at}`} />
            )}
          </svg>{" "}
          {each}
        </span>
      ))}
    </p>
  );
}

interface Cell {
  x: number;
  y: number;
  share: number;
  title: string;
}

const SQUARE = 34;

/** Squares of a map, the fuller the larger the share; its number stands in each. */
export function Squares({ cells }: { cells: Cell[] }) {
  const width = (Math.max(...cells.map((each) => each.x)) + 1) * SQUARE;
  const height = (Math.max(...cells.map((each) => each.y)) + 1) * SQUARE;
  return (
    <div class="plot-squares">
      <svg viewBox={`0 0 ${width} ${height}`} width={width} height={height} focusable="false">
        {cells.map((each) => {
          const side = Math.max(3, (SQUARE - 4) * Math.sqrt(each.share));
          const [x, y] = [each.x * SQUARE, each.y * SQUARE];
          return (
            <g key={`${each.x} ${each.y}`}>
              <title>{each.title}</title>
              <rect x={x + 1} y={y + 1} width={SQUARE - 2} height={SQUARE - 2} class="ground" />
              <rect x={x + (SQUARE - side) / 2} y={y + (SQUARE - side) / 2} width={side} height={side} class="none" />
              <text x={x + SQUARE / 2} y={y + SQUARE / 2 + 4} text-anchor="middle">
                {Math.round(100 * each.share)}
              </text>
            </g>
          );
        })}
      </svg>
    </div>
  );
}

// Puts together what would lie on top of each other on the screen. Cost: O(points).
export interface Point {
  x: number;
  y: number;
}

/** Groups of items that fall into one square of `side` pixels, or touch a group that began there. */
export function clustered<T extends Point>(items: T[], side: number): T[][] {
  const squares = new Map<string, T[]>();
  for (const item of items) {
    const home = near(squares, item, side);
    if (home) home.push(item);
    else squares.set(name(item, side, 0, 0), [item]);
  }
  return [...squares.values()];
}

/** The group around whose first item this one lies, looked for in its square and those beside it. */
function near<T extends Point>(squares: Map<string, T[]>, item: T, side: number): T[] | undefined {
  for (let dx = -1; dx <= 1; dx++) {
    for (let dy = -1; dy <= 1; dy++) {
      const group = squares.get(name(item, side, dx, dy));
      const first = group?.[0];
      if (first && Math.max(Math.abs(first.x - item.x), Math.abs(first.y - item.y)) < side) return group;
    }
  }
  return undefined;
}

function name(item: Point, side: number, dx: number, dy: number): string {
  return `${Math.floor(item.x / side) + dx}:${Math.floor(item.y / side) + dy}`;
}

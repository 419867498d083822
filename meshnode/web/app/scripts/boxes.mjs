// What the built-in map shows.
/** West, south, east and north in degrees of what is cut out. */
export const BOXES = {
  europe: [-12, 34, 20, 61],
  antilles: [-64, 13, -58, 19],
  guyane: [-57, 1, -50, 7.5],
  saintPierre: [-58, 45.5, -54, 48.5],
  mascareignes: [53.5, -23, 59, -18],
  mayotte: [42, -14.5, 47, -10],
};

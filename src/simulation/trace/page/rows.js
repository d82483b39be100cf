/**
 * Which lines of a trace are shown. Part of a page that runs in a browser.
 *
 * @module
 */

/**
 * Whether a line has every word of `text`, and none of those that stand behind
 * a dash; case does not matter. Words in double quotes are one.
 */
export function lineFilter(text) {
  // A dash alone is on its way to becoming a word.
  const words = [...text.toLowerCase().matchAll(/(-?)(?:"([^"]*)"?|(\S+))/g)]
    .map(([, dash, quoted, word]) => ({
      not: dash === "-",
      word: quoted ?? word,
    }))
    .filter(({ word }) => word !== "" && word !== "-");
  return (line) => words.every(({ not, word }) => line.includes(word) !== not);
}

/**
 * The lines to show, and for each line how many of those come before it.
 *
 * @param lines In lower case.
 */
export function selectRows(
  lines,
  { filter, placeOf, kindOf, hiddenPlaces, hiddenKinds },
) {
  const rows = [];
  const ranks = new Float64Array(lines.length + 1);
  for (let i = 0; i < lines.length; i++) {
    ranks[i] = rows.length;
    if (hiddenPlaces.has(placeOf[i]) || hiddenKinds.has(kindOf[i])) continue;
    if (filter(lines[i])) rows.push(i);
  }
  ranks[lines.length] = rows.length;
  return { rows, ranks };
}

/** First index of ascending `values` whose value is at least `value`. */
export function firstAtLeast(values, value, valueOf = (item) => item) {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (valueOf(values[middle]) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * The ring as a picture: a legend of nodes with their share, then one letter
 * per partition, in groups as long as the windows that should hold distinct
 * nodes. The output of `riak_core_ring:pretty_print/2` with `legend`.
 *
 * @module
 */
import { TARGET_N_DEFAULT } from "./claim.ts";
import { percentText, titleLine } from "./text_table.ts";

/** Beyond this many nodes there are no letters left, and numbers are used. */
const LETTERS = 26;

/** The input of the picture; a `RingView` contains it. */
export interface RingPicture {
  /** Partitions in the ring. */
  readonly ringSize: number;
  /** Names of all members, in the order of the legend. */
  readonly nodes: readonly string[];
  /** Index of the owner, by partition. */
  readonly owners: ArrayLike<number>;
  /** Letters per group. Default: 4. */
  readonly targetN?: number;
}

/** Legend and picture of the ring. */
export function ringStatusText(picture: RingPicture): string {
  const { ringSize, nodes, owners } = picture;
  const owned = new Array<number>(nodes.length).fill(0);
  for (let i = 0; i < ringSize; i++) owned[owners[i]!]!++;
  const signs = signsFor(nodes.length);
  const legend = nodes.map((name, i) => {
    const share = percentText(owned[i]! * 100 / ringSize);
    return `Node ${signs[i]}: ${owned[i]} (${share}%) ${name}\n`;
  });
  return titleLine("Nodes", 36) + legend.join("") +
    titleLine("Ring", 36) + pictureLine(picture, signs);
}

function signsFor(count: number): string[] {
  return Array.from(
    { length: count },
    (_, i) =>
      count <= LETTERS
        ? String.fromCharCode("a".charCodeAt(0) + i)
        : String(i + 1),
  );
}

function pictureLine(picture: RingPicture, signs: string[]): string {
  const { ringSize, owners, targetN = TARGET_N_DEFAULT } = picture;
  // Numbers need spaces between them, and equal width to align in columns.
  // (riak_core prints them as an Erlang list, without groups.)
  const numeric = signs.length > LETTERS;
  const width = numeric ? String(signs.length).length : 1;
  const groups: string[] = [];
  for (let start = 0; start < ringSize; start += targetN) {
    const group: string[] = [];
    for (let i = start; i < Math.min(start + targetN, ringSize); i++) {
      group.push(signs[owners[i]!]!.padStart(width));
    }
    // Only a whole group is closed, as in the original.
    const bar = group.length === targetN ? "|" : "";
    groups.push(group.join(numeric ? " " : "") + bar);
  }
  return groups.join("") + "\n";
}

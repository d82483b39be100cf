/**
 * Places for twice as many nodes as the target N, half of which go round the
 * ring: each of the others shares the place of one of them. Whichever of the
 * two owns a partition of the place, no window has a repeat, so the two may
 * take turns in any way. They do so in runs of a different length or start at
 * each place:
 *
 *     place 1   aaeeaaeeaaeeaaee…
 *     place 2   ffffbbbbffffbbbb…
 *     place 3   ccggggccccggggcc…
 *     place 4   ddddddddhhhhhhhh…
 *
 * Then somewhere between two partitions of a node, any other node is missing
 * and can take over there when the first one leaves: of eight nodes one or two
 * can leave without another move. If so many leave that the rest must go round
 * again, they are already at their places, unless both of a pair leave. With
 * one order for all places (`abcdefgh`), or nodes spread over all places, one
 * kind of leave or the other would move many partitions.
 *
 * @module
 */

/**
 * How the two nodes of a place take turns, for each place in a cycle: the
 * length of a run, and by how much the first one is shorter.
 */
const TURNS = [
  { length: 2, offset: 0 },
  { length: 4, offset: 4 },
  { length: 4, offset: 2 },
  { length: 8, offset: 0 },
] as const;

/** After this many partitions of a place, the turns repeat. */
const TURNS_PERIOD = 16;

/**
 * The ring in which each of `newcomers` shares a place with one of as many
 * nodes that go round `ring`; `undefined` if they don't, or if shares would
 * differ.
 */
export function sharePlaces(
  ring: readonly string[],
  newcomers: readonly string[],
): string[] | undefined {
  const places = newcomers.length;
  const isRound = ring.every((node, i) => node === ring[i % places]);
  if (!isRound || ring.length % (places * TURNS_PERIOD) !== 0) return undefined;
  return ring.map((node, partition) => {
    const place = partition % places;
    const { length, offset } = TURNS[place % TURNS.length]!;
    const turn = Math.floor((Math.floor(partition / places) + offset) / length);
    return turn % 2 === 0 ? node : newcomers[place]!;
  });
}

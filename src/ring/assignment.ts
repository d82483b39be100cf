/**
 * The assignment problem: pair each row with a column of its own so that the
 * sum of the chosen cells is as large as possible. Claim uses it to assign
 * nodes to the places of an ideal layout so that most partitions stay where
 * they are.
 *
 * The Hungarian method with potentials (Kuhn 1955, Munkres 1957), O(n^3), in
 * the form that adds one row at a time along a shortest augmenting path.
 *
 * @module
 */

/**
 * Returns the column of each row in a pairing with the greatest total gain.
 *
 * @param gains A square matrix of whole numbers, row by row.
 */
export function assignLargest(gains: readonly Int32Array[]): Int32Array {
  const size = gains.length;
  // Index 0 means "not yet paired"; rows and columns count from 1.
  const rowPotential = new Float64Array(size + 1);
  const columnPotential = new Float64Array(size + 1);
  const rowOfColumn = new Int32Array(size + 1);
  const cameFrom = new Int32Array(size + 1);
  for (let row = 1; row <= size; row++) {
    rowOfColumn[0] = row;
    const slack = new Float64Array(size + 1).fill(Infinity);
    const visited = new Uint8Array(size + 1);
    let column = 0;
    do {
      visited[column] = 1;
      const from = rowOfColumn[column]!;
      let smallest = Infinity;
      let next = 0;
      for (let c = 1; c <= size; c++) {
        if (visited[c] === 1) continue;
        const cost = -gains[from - 1]![c - 1]! - rowPotential[from]! -
          columnPotential[c]!;
        if (cost < slack[c]!) {
          slack[c] = cost;
          cameFrom[c] = column;
        }
        if (slack[c]! < smallest) {
          smallest = slack[c]!;
          next = c;
        }
      }
      for (let c = 0; c <= size; c++) {
        if (visited[c] === 1) {
          rowPotential[rowOfColumn[c]!]! += smallest;
          columnPotential[c]! -= smallest;
        } else {
          slack[c]! -= smallest;
        }
      }
      column = next;
    } while (rowOfColumn[column] !== 0);
    while (column !== 0) {
      const previous = cameFrom[column]!;
      rowOfColumn[column] = rowOfColumn[previous]!;
      column = previous;
    }
  }
  const columnOfRow = new Int32Array(size);
  for (let c = 1; c <= size; c++) columnOfRow[rowOfColumn[c]! - 1] = c - 1;
  return columnOfRow;
}

/**
 * What can go wrong, under the names of SPECIFICATION.md, section 5.1: TruncatedError,
 * SignatureError, ChecksumError, UnsupportedError, HeaderError, PayloadError and LimitError; and
 * beside them WeightsError (weights, tables or the kernel are missing, damaged or foreign) and
 * InputError (an argument is wrong).
 */
export class AecError extends Error {
  /**
   * @param {string} name one of the names above
   * @param {string} message what is wrong, with the values
   */
  constructor(name, message) {
    super(message);
    this.name = name;
  }
}

/** Throws a HeaderError if a value lies outside what the format allows. */
export function checkRange(what, value, low, high) {
  if (value < low || value > high) {
    const allowed = low < high ? `${low} to ${high}` : `${low}`;
    throw new AecError("HeaderError", `${what} is ${value}, the format allows ${allowed}`);
  }
}

/** Throws a PayloadError unless a condition holds. */
export function checkPayload(holds, message) {
  if (!holds) {
    throw new AecError("PayloadError", message);
  }
}

/** An array of a length that a file asks for; a LimitError where there is no memory for it. */
export function allocate(Kind, length) {
  try {
    return new Kind(length);
  } catch (error) {
    if (error instanceof RangeError) {
      throw new AecError("LimitError", `no memory for ${length} numbers`);
    }
    throw error;
  }
}

/** Names of fields that hold secrets: what has them is blanked, in the log and in events. */
export const SECRET_FIELDS: readonly string[] = ['token', 'secret', 'password', 'privateKey', 'caKey', 'tokenSecret'];
export const BLANKED = '[secret]';

/** `dist/lib/NAME.cjs`: runs the bundle beside it. */
import { loadBundle } from './compiled-bundle.ts';

loadBundle(import.meta.filename.replace(/cjs$/, 'bundle.cjs')).run();

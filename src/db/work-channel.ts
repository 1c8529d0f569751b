/** Postgres channel on which an api process says that there is work. */
export const WORK_CHANNEL = 'posthorn_work';

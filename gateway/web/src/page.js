/* The status page: asks the gateway every two seconds, and shows what is wrong first. All text is set as text. */
'use strict';

const POLL_MS = 2000;
const ANSWER_MS = 5000;
/* One lost answer is no outage. */
const FAILURES_SHOWN = 2;
const ROWS_STEP = 100;
const FACTS_MAX = 20;
const CLOCK_OFF_MS = 10000;
const CERTIFICATE_SOON_MS = 14 * 86400000;

const SIGNS = { good: '✓', warn: '!', bad: '✕', none: '–' };
const WORST_FIRST = ['bad', 'warn', 'none', 'good'];

const $ = (id) => document.getElementById(id);

/* The last status, when it came (this computer's steady clock), and what has failed since. */
let picture = null;
let pictureAt = 0;
let failures = 0;
let failedAt = 0;
let failure = '';
let rowsMax = ROWS_STEP;

poll();
setInterval(draw, 1000);
document.addEventListener('visibilitychange', () => { if (!document.hidden) draw(); });
for (const id of ['find', 'troubled']) {
  $(id).addEventListener('input', () => { rowsMax = ROWS_STEP; draw(); });
}
$('show-more').addEventListener('click', () => { rowsMax += ROWS_STEP; draw(); });

async function poll() {
  try {
    const answer = await fetch('/api/v1/status', { cache: 'no-store', signal: AbortSignal.timeout(ANSWER_MS) });
    if (!answer.ok) {
      const problem = await answer.json().catch(() => ({}));
      throw new Error(`it answers ${answer.status}, ${problem.title ?? 'without a reason'}`);
    }
    const status = await answer.json();
    if (picture && picture.version !== status.version) location.reload();
    picture = status;
    pictureAt = performance.now();
    failures = 0;
  } catch (error) {
    if (failures === 0) failedAt = performance.now();
    failures += 1;
    failure = error.name === 'TimeoutError' ? `no answer within ${ANSWER_MS / 1000} s`
      : error instanceof TypeError ? 'no connection' : error.message;
  } finally {
    setTimeout(poll, POLL_MS);
  }
  draw();
}

function draw() {
  const gone = failures >= FAILURES_SHOWN || (failures > 0 && !picture);
  drawFreshness(gone);
  if (gone) drawGone();
  $('picture').classList.toggle('stale', gone);
  if (!picture) return;

  /* The gateway's clock, whatever this computer's shows. A picture of the past stands still. */
  const now = Date.parse(picture.now) + (gone ? 0 : performance.now() - pictureAt);
  const doors = picture.doors.map(judge).sort(byTrouble);
  const problems = problemsOf(picture, doors);
  put($('site'), picture.site);
  if (!gone) drawState(problems, doors, now);
  $('picture').hidden = false;
  drawFigures(problems, doors, now);
  drawDoors(doors, now);
  drawZones(picture.zones);
  drawRefusals(picture.refusals, now);
  drawAbout(now);
}

function drawFreshness(gone) {
  if (!picture) return put($('freshness'), '');
  const age = performance.now() - pictureAt;
  const words = age < 4000 && !gone ? 'up to date' : `${span(age)} old`;
  put($('freshness'), `${clock(Date.parse(picture.now))} · ${words}`);
  $('freshness').title = `The gateway's time of this picture: ${absolute(Date.parse(picture.now))}`;
}

function drawGone() {
  const asked = span(performance.now() - failedAt);
  setState('bad', picture ? 'Cannot reach the gateway' : 'The gateway cannot be reached', 'unreachable');
  put($('verdict-more'), picture
    ? `For ${asked}: ${failure}. What stands below was true at ${clock(Date.parse(picture.now))}, ` +
      `${span(performance.now() - pictureAt)} ago. Doors may still work: look at the gateway itself.`
    : `For ${asked}: ${failure}. Trying again every ${POLL_MS / 1000} s.`);
  $('problems').hidden = true;
}

function drawState(problems, doors, now) {
  const level = problems.some((problem) => problem.level === 'bad') ? 'bad' : problems.length ? 'warn' : 'good';
  const up = doors.filter((door) => door.connected).length;
  if (level === 'good') {
    setState('good', doors.length ? 'All well' : 'Ready, no doors yet', 'all well');
    const running = `Running for ${span(now - Date.parse(picture.started_at))}.`;
    put($('verdict-more'), doors.length ? `${figure(up)} of ${count(doors.length, 'door')} up. ${running}` : running);
  } else {
    const many = count(problems.length, 'problem');
    setState(level, level === 'bad' ? `Not ready: ${many}` : `Working, with ${many}`, many);
    put($('verdict-more'), '');
  }
  $('problems').hidden = problems.length === 0;
  sync($('problems'), problems, makeProblem, (item, problem) => {
    item.dataset.level = problem.level;
    put(item.sign, SIGNS[problem.level]);
    put(item.what, problem.what);
    put(item.message, problem.message);
    putTime(item.time, problem.since, (moment) => `for ${span(now - moment)}`);
  });
}

function setState(level, verdict, title) {
  $('state').dataset.level = level;
  put($('state-sign'), SIGNS[level]);
  put($('verdict'), verdict);
  document.title = `${SIGNS[level]} ${title} · ${picture ? `${picture.site} · ` : ''}Gapura`;
}

function makeProblem() {
  const item = make('li');
  item.sign = make('span', 'sign', item);
  item.sign.setAttribute('aria-hidden', 'true');
  item.what = make('span', 'what', item);
  item.message = make('span', 'message', item);
  item.time = make('time', '', item);
  return item;
}

/* What the gateway says is wrong, and what its doors show. */
function problemsOf(status, doors) {
  const problems = status.problems.map((problem) => ({
    level: problem.severity === 'critical' ? 'bad' : 'warn',
    what: sentence(problem.what.replaceAll('-', ' ')),
    word: problem.what,
    message: problem.message,
    since: problem.since,
  }));
  const add = (word, what, message, since = null) => problems.push({ level: 'warn', what, word, message, since });
  const isTold = (word) => problems.some((problem) => problem.word === word);
  if (status.upstream?.failing_since && !isTold('upstream')) {
    add('upstream', 'Upstream', `It takes no events: ${status.upstream.error ?? 'no reason told'}`, status.upstream.failing_since);
  }
  for (const { name, not_after: end } of isTold('certificate') ? [] : status.certificates) {
    const left = Date.parse(end) - Date.parse(status.now);
    if (left > CERTIFICATE_SOON_MS) continue;
    add('certificate', 'Certificate', `${sentence(name)} ${left > 0 ? `expires in ${span(left)}` : 'has expired'}`);
  }
  for (const [rank, tell] of [
    [0, (n) => `${count(n, 'door')} ${n === 1 ? 'is' : 'are'} down`],
    [1, (n) => `${count(n, 'reader')} ${n === 1 ? 'tells' : 'tell'} of a problem`],
    [2, (n) => `${count(n, "reader's clock", "readers' clocks")} ${n === 1 ? 'is' : 'are'} off`],
    [3, (n) => `${count(n, 'door')} ${n === 1 ? 'has' : 'have'} missing scans`],
  ]) {
    const those = doors.filter((door) => door.rank === rank);
    if (those.length === 0) continue;
    const names = those.slice(0, 5).map((door) => door.door).join(', ');
    const others = those.length > 5 ? ` and ${figure(those.length - 5)} more` : '';
    const sinces = rank === 0 ? those.map((door) => door.since).filter(Boolean).sort() : [];
    add('doors', 'Doors', `${tell(those.length)}: ${names}${others}`, sinces[0]);
  }
  return problems.sort((a, b) => WORST_FIRST.indexOf(a.level) - WORST_FIRST.indexOf(b.level));
}

/* How a door is: its rank (0 is worst), level, word, and what is to be known of it. */
function judge(door) {
  const reader = door.status;
  const offset = door.clock_offset_ms ?? 0;
  const notes = [];
  if (reader?.problem) notes.push(reader.problem);
  if (Math.abs(offset) > CLOCK_OFF_MS) notes.push(`Clock ${span(Math.abs(offset))} ${offset > 0 ? 'ahead' : 'behind'}`);
  if (door.missing_scans > 0) notes.push(`${count(door.missing_scans, 'scan')} missing`);
  const problems = door.problems ?? [];
  notes.push(...problems.map((problem) => sentence(problem.message.replace(`door ${door.door}: `, ''))));
  if (reader?.buffered_scans > 0) notes.push(`${count(reader.buffered_scans, 'scan')} waiting in the reader`);
  const troubled = reader && (reader.state !== 'online' || reader.problem);
  const [rank, level, word] = !door.connected ? [0, 'bad', 'Down']
    : troubled ? [1, 'warn', reader.state === 'offline' ? 'Reader off' : 'Reader problem']
      : Math.abs(offset) > CLOCK_OFF_MS ? [2, 'warn', 'Clock off']
        : door.missing_scans > 0 ? [3, 'warn', 'Missing scans']
        // Told one by one among the gateway's problems.
        : problems.length > 0 ? [3.5, 'warn', 'Reader problem']
          : [4, 'good', 'Up'];
  if (!door.connected && !door.since) notes.unshift('Never seen');
  return { ...door, rank, level, word, notes: notes.join(' · ') };
}

/* The worst first; among the broken, what broke last first. */
function byTrouble(a, b) {
  if (a.rank !== b.rank) return a.rank - b.rank;
  if (a.rank < 4 && a.since !== b.since) return (b.since ?? '').localeCompare(a.since ?? '');
  return a.door.localeCompare(b.door);
}

function drawFigures(problems, doors, now) {
  const worst = (...words) => {
    const levels = problems.filter((problem) => words.includes(problem.word)).map((problem) => problem.level);
    return WORST_FIRST.find((level) => levels.includes(level)) ?? 'good';
  };
  const figures = [
    scansFigure(picture.scans),
    timeFigure(picture.scans.latency_ms),
    doorsFigure(doors, worst('doors')),
    upstreamFigure(picture.upstream, worst('upstream'), now),
    logFigure(picture.log, worst('log'), now),
    diskFigure(picture.log, worst('disk')),
    certificateFigure(picture.certificates, worst('certificate'), now),
  ];
  sync($('figures'), figures, makeFigure, (card, entry) => {
    card.dataset.level = entry.level ?? 'none';
    card.title = entry.title ?? '';
    card.sign.hidden = entry.level !== 'warn' && entry.level !== 'bad';
    put(card.sign, SIGNS[entry.level] ?? '');
    put(card.name, entry.name);
    put(card.value, entry.value);
    put(card.unit, entry.unit ? ` ${entry.unit}` : '');
    put(card.note, entry.note);
  });
}

function scansFigure({ kept, per_second: perSecond, waiting }) {
  const note = `${figure(kept)} since the start${waiting ? `, ${figure(waiting)} waiting` : ''}`;
  return { name: 'Scans', value: rate(perSecond), unit: 'a second', note };
}

function timeFigure(latencies) {
  const name = 'Time to disk';
  if (!latencies) return { name, value: '–', note: 'no scan in the last minute' };
  return { name, value: latency(latencies.p50), unit: 'ms', note: `median; 99 % within ${latency(latencies.p99)} ms` };
}

function doorsFigure(doors, level) {
  const down = doors.filter((door) => !door.connected).length;
  const note = down ? `${figure(down)} down` : 'none down';
  return { name: 'Doors up', value: figure(doors.length - down), unit: `of ${figure(doors.length)}`, note, level };
}

function upstreamFigure(upstream, level, now) {
  const name = 'Upstream';
  if (!upstream) return { name, value: 'Off', note: 'not configured' };
  const { backlog, failing_since: failing, last_success_at: last, quarantined } = upstream;
  const state = failing ? `failing for ${span(now - Date.parse(failing))}`
    : last ? `last batch ${span(now - Date.parse(last))} ago` : 'no batch yet';
  const refused = quarantined.length ? `; ${count(quarantined.length, 'range')} refused for good` : '';
  const title = last ? `Last batch taken ${absolute(Date.parse(last))}` : '';
  return { name, value: figure(backlog), unit: 'waiting', note: state + refused, title, level };
}

function logFigure({ last_event: number, last_commit_at: last, failed_commits: failed }, level, now) {
  const kept = last ? `kept ${span(now - Date.parse(last))} ago` : 'nothing kept since the start';
  const note = kept + (failed ? `; ${count(failed, 'failed commit')}` : '');
  const title = last ? absolute(Date.parse(last)) : '';
  return { name: 'Last event', value: number ? figure(number) : '–', note, title, level };
}

function diskFigure({ disk_free_bytes: free, file_bytes: used }, level) {
  return { name: 'Disk free', ...bytes(free), note: `log takes ${size(used)}`, level };
}

function certificateFigure(certificates, level, now) {
  const name = 'Certificates';
  const next = [...certificates].sort((a, b) => Date.parse(a.not_after) - Date.parse(b.not_after))[0];
  if (!next) return { name, value: '–', note: 'none told', level };
  const left = Date.parse(next.not_after) - now;
  const title = `${next.name} expires ${absolute(Date.parse(next.not_after))}`;
  return left > 0 ? { name, value: span(left), note: `until ${next.name} expires`, title, level }
    : { name, value: 'Expired', note: `${next.name}, ${span(-left)} ago`, title, level };
}

function makeFigure() {
  const card = make('div');
  const name = make('dt', '', card);
  card.sign = make('span', 'sign', name);
  card.sign.setAttribute('aria-hidden', 'true');
  card.name = make('span', '', name);
  const line = make('dd', 'value', card);
  card.value = make('span', '', line);
  card.unit = make('small', '', line);
  card.note = make('dd', 'note', card);
  return card;
}

function drawDoors(doors, now) {
  const words = $('find').value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = doors.filter((door) => {
    const text = `${door.door} ${door.zone} ${door.mode} ${door.word} ${door.notes}`.toLowerCase();
    return words.every((word) => text.includes(word)) && (door.rank < 4 || !$('troubled').checked);
  });
  const rows = found.slice(0, rowsMax);
  const troubled = doors.filter((door) => door.rank < 4).length;
  put($('doors-count'), doors.length === 0 ? '' : `${figure(doors.length)} in all, ${troubled ? figure(troubled) : 'none'} to look at`);
  $('finder').hidden = doors.length === 0;
  $('doors').hidden = rows.length === 0;
  $('doors-empty').hidden = rows.length > 0;
  put($('doors-empty'), doors.length === 0 ? 'No door is registered yet. Add one on the gateway: gapura door add NAME'
    : words.length ? 'No door fits what you look for.' : 'No door needs a look.');
  const narrowed = found.length < doors.length ? ' found' : '';
  const shown = `Showing ${figure(rows.length)} of ${count(found.length, 'door')}${narrowed}`;
  put($('shown'), rows.length === 0 || rows.length === doors.length ? '' : shown);
  $('show-more').hidden = rows.length === found.length;
  put($('show-more'), `Show ${figure(Math.min(ROWS_STEP, found.length - rows.length))} more`);
  sync($('rows'), rows, makeRow, (row, door) => {
    put(row.door, door.door);
    put(row.zone, door.zone);
    row.level.dataset.level = door.level;
    put(row.sign, SIGNS[door.level]);
    put(row.word, door.word);
    putTime(row.since, door.since, (moment) => `${door.rank % 4 ? 'up ' : ''}for ${span(now - moment)}`);
    put(row.notes, door.notes);
    put(row.mode, sentence(door.mode));
    putTime(row.last, door.last_scan_at, (moment) => `${span(now - moment)} ago`, 'none yet');
    put(row.scans, figure(door.scans));
  });
}

function makeRow() {
  const [row, cell] = makeCells();
  const head = cell('th', '');
  head.scope = 'row';
  row.door = make('span', '', head);
  row.zone = make('small', '', head);
  row.level = make('div', '', cell('td', 'state-cell'));
  row.sign = make('span', 'sign', row.level);
  row.sign.setAttribute('aria-hidden', 'true');
  const text = make('div', '', row.level);
  row.word = make('span', '', text);
  row.since = make('time', '', make('small', '', text));
  row.notes = cell('td', 'notes');
  row.mode = cell('td', 'mode');
  row.last = make('time', '', cell('td', 'last'));
  row.scans = cell('td', 'number');
  return row;
}

/* Zones inside others stand below them. A site whose zones have neither order, nor limits, nor people shows none. */
function drawZones(zones) {
  const told = zones.some((zone) => zone.parent || zone.capacity || zone.occupancy > 0);
  $('zones-section').hidden = !told;
  if (!told) return;
  const rows = nested(zones);
  const full = zones.filter(isFull).length;
  put($('zones-count'), full ? `${figure(full)} full` : '');
  sync($('zone-rows'), rows, makeZone, (row, { zone, depth }) => {
    const level = isFull(zone) ? 'warn' : zone.capacity ? 'good' : 'none';
    row.name.style.paddingInlineStart = `${depth * 1.25}rem`;
    put(row.name, zone.zone);
    row.level.dataset.level = level;
    put(row.sign, SIGNS[level]);
    put(row.word, isFull(zone) ? 'Full' : zone.capacity ? `Room for ${figure(zone.capacity - zone.occupancy)}` : 'No limit');
    put(row.people, figure(zone.occupancy));
    put(row.most, zone.capacity ? figure(zone.capacity) : '–');
  });
}

function isFull(zone) {
  return zone.capacity !== null && zone.occupancy >= zone.capacity;
}

function nested(zones, parent = null, depth = 0) {
  const listed = new Set(zones.map((zone) => zone.zone));
  const inside = zones.filter((zone) => (listed.has(zone.parent) ? zone.parent : null) === parent);
  return inside.flatMap((zone) => [{ zone, depth }, ...nested(zones, zone.zone, depth + 1)]);
}

function makeZone() {
  const [row, cell] = makeCells();
  const head = cell('th', '');
  head.scope = 'row';
  row.name = make('span', '', head);
  row.level = make('div', '', cell('td', 'state-cell'));
  row.sign = make('span', 'sign', row.level);
  row.sign.setAttribute('aria-hidden', 'true');
  row.word = make('span', '', row.level);
  row.people = cell('td', 'number people');
  row.most = cell('td', 'number most');
  return row;
}

/* Who was not let in, or not heard: the newest first. What they call themselves need not be true. */
function drawRefusals(refusals, now) {
  $('refusals-section').hidden = refusals.length === 0;
  put($('refusals-count'), refusals.length ? `since ${absolute(Date.parse(picture.started_at))}` : '');
  sync($('refusal-rows'), refusals, makeRefusal, (row, refusal) => {
    put(row.address, refusal.address);
    put(row.name, refusal.name ?? 'shows no name');
    put(row.reason, `${sentence(refusal.what)}: ${refusal.reason.replaceAll('-', ' ')}`);
    put(row.remedy, refusal.remedy);
    putTime(row.last, refusal.last_at, (moment) => `${span(now - moment)} ago`);
    put(row.times, figure(refusal.count));
  });
}

function makeRefusal() {
  const [row, cell] = makeCells();
  const head = cell('th', '');
  head.scope = 'row';
  row.address = make('span', '', head);
  row.name = make('small', '', head);
  row.reason = cell('td', '');
  row.remedy = cell('td', '');
  row.last = make('time', '', cell('td', ''));
  row.times = cell('td', 'number');
  return row;
}

/* A row, and what makes its cells. Their roles stay when the style sheet lays tables out in another way. */
function makeCells() {
  const row = make('tr');
  row.setAttribute('role', 'row');
  return [row, (kind, className) => {
    const cell = make(kind, className, row);
    cell.setAttribute('role', kind === 'th' ? 'rowheader' : 'cell');
    return cell;
  }];
}

function drawAbout(now) {
  const { upstream, certificates } = picture;
  const started = Date.parse(picture.started_at);
  const facts = [
    ['Version', picture.version],
    ['Running since', `${absolute(started)} (${span(now - started)})`],
    ['Policy set', picture.policy_set],
    ['Candidate policy set', picture.policy_candidate ?? 'none is tried'],
    ['Credentials known', figure(picture.directory_credentials)],
    ['Directory changed', picture.directory_changed_at ? absolute(Date.parse(picture.directory_changed_at)) : 'not known'],
    ['Keys trusted for passes', figure(picture.trusted_keys)],
    ['Monitors connected', figure(picture.monitors_connected)],
  ];
  for (const { name, not_after: end } of certificates) {
    facts.push([`Certificate: ${name}`, `${Date.parse(end) > now ? 'expires' : 'expired'} ${absolute(Date.parse(end))}`]);
  }
  if (upstream) facts.push(['Safe upstream', `every event up to ${figure(upstream.acked_through)}`]);
  for (const [first, last] of upstream?.quarantined.slice(0, FACTS_MAX) ?? []) {
    facts.push(['Refused upstream', `events ${figure(first)} to ${figure(last)}`]);
  }
  const skew = Date.now() - now;
  if (failures === 0 && Math.abs(skew) > CLOCK_OFF_MS) {
    facts.push(["This computer's clock", `${span(Math.abs(skew))} ${skew > 0 ? 'ahead of' : 'behind'} the gateway's`]);
  }
  sync($('about'), facts, makeFact, (fact, [name, text]) => {
    put(fact.name, name);
    put(fact.text, text);
  });
}

function makeFact() {
  const fact = make('div');
  fact.name = make('dt', '', fact);
  fact.text = make('dd', '', fact);
  return fact;
}

/* Makes `parent` have one child for each item, and brings each up to date: what does not change keeps its focus. */
function sync(parent, items, makeChild, update) {
  while (parent.children.length > items.length) parent.lastElementChild.remove();
  items.forEach((item, index) => update(parent.children[index] ?? parent.appendChild(makeChild()), item));
}

function make(tag, className = '', parent = null) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (parent) parent.append(made);
  return made;
}

function put(node, text) {
  if (node.textContent !== String(text)) node.textContent = text;
}

function putTime(node, moment, words, none = '') {
  const known = moment ? Date.parse(moment) : NaN;
  put(node, Number.isNaN(known) ? none : words(known));
  if (node.dateTime === (moment ?? '')) return;
  node.dateTime = moment ?? '';
  node.title = Number.isNaN(known) ? '' : absolute(known);
}

/* A length of time in at most two units. */
function span(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return `${s} s`;
  const min = Math.floor(s / 60);
  if (min < 60) return `${min} min`;
  const h = Math.floor(min / 60);
  if (h < 24) return min % 60 ? `${h} h ${min % 60} min` : `${h} h`;
  const days = Math.floor(h / 24);
  if (days < 60) return days < 3 && h % 24 ? `${count(days, 'day')} ${h % 24} h` : count(days, 'day');
  return days < 730 ? `${figure(Math.floor(days / 30.44))} months` : `${figure(Math.floor(days / 365.25))} years`;
}

function absolute(moment) {
  return new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'long' }).format(moment);
}

function clock(moment) {
  return new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' }).format(moment);
}

function figure(number) {
  return new Intl.NumberFormat('en').format(number);
}

function rate(number) {
  return number > 0 && number < 100 ? number.toFixed(1) : figure(Math.round(number));
}

function latency(ms) {
  return ms < 10 ? ms.toFixed(1) : figure(Math.round(ms));
}

function count(number, one, many = `${one}s`) {
  return `${figure(number)} ${number === 1 ? one : many}`;
}

function bytes(number) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let value = number;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) { value /= 1000; unit += 1; }
  return { value: unit && value < 10 ? value.toFixed(1) : figure(Math.floor(value)), unit: units[unit] };
}

function size(number) {
  const { value, unit } = bytes(number);
  return `${value} ${unit}`;
}

function sentence(word) {
  return word.charAt(0).toUpperCase() + word.slice(1).replaceAll('_', ' ');
}

"""Random files that Python's csv module writes, and the rows that it reads back.

    csv_cases.py SEED COUNT

prints a line for each file, as COPY reads it: the bytes, options that say how it
is written (or none of them, every second file), the header or \\N, and the rows.
"""

import csv
import io
import json
import random
import sys

DELIMITERS = ',;\t|:^~!&*/\x01\x1f'
WORDS = ['alpha', 'Beta', 'gamma ray', 'delta', 'Éclair', 'ζήτα', '東京', 'x', 'two words', "o'clock", '😀']
NAMES = ['id', 'name', 'e-mail', 'Full Name', 'city', 'Größe', 'unit price', 'note']


def dialect(rng, plain):
    """How a file is written; plain: as programs do that a file is found out from."""
    form = {'delimiter': rng.choice(',,,;\t|' if plain else DELIMITERS), 'lineterminator': rng.choice(['\n', '\r\n', '\r']),
            'quotechar': '"' if plain or rng.random() < 0.6 else rng.choice("'`"), 'quoting': rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
            'doublequote': True, 'escapechar': None}
    kind = rng.random()
    if kind < 0.2:
        # A backslash outside of quotes escapes nothing for us, so all are within.
        form.update(doublequote=False, escapechar='\\', quoting=csv.QUOTE_ALL)
    elif kind < 0.3 and not plain:
        form.update(quoting=csv.QUOTE_NONE, escapechar='\\', quotechar=None)
    return form


def wild_value(rng, form):
    special = form['delimiter'] + (form['quotechar'] or '') * 2 + '\n\r \\' + 'ab1,;"\''
    return ''.join(rng.choice(special) for _ in range(rng.randrange(8))) if rng.random() < 0.4 else rng.choice(WORDS)


def plain_column(rng):
    """A function that makes values of one kind."""
    return rng.choice([
        lambda: str(rng.randrange(100000)),
        lambda: '%.2f' % rng.uniform(0, 1000),
        lambda: '2024-%02d-%02d' % (rng.randrange(1, 13), rng.randrange(1, 29)),
        lambda: '%s@example.com' % rng.choice(WORDS[:4]).lower().replace(' ', '.'),
        lambda: rng.choice(WORDS),
        lambda: '%s, %s' % (rng.choice(WORDS), rng.choice(WORDS)),
        lambda: 'said "%s" and\nleft' % rng.choice(WORDS),
        lambda: rng.choice(['', rng.choice(WORDS)]),
    ])


def case(rng, plain):
    form = dialect(rng, plain)
    width = rng.randrange(2, 9) if plain else rng.randrange(1, 9)
    header = None
    if plain:
        columns = [lambda: str(rng.randrange(100000))] + [plain_column(rng) for _ in range(width - 1)]
        rng.shuffle(columns)
        rows = [[column() for column in columns] for _ in range(rng.randrange(3, 11))]
        header = rng.sample(NAMES, width)
    else:
        rows = [[wild_value(rng, form) for _ in range(width)] for _ in range(rng.randrange(1, 11))]
    text = io.StringIO(newline='')
    try:
        csv.writer(text, **form).writerows(([header] if header else []) + rows)
    except csv.Error:
        return None             # one empty field, and quotes are not allowed
    read = list(csv.reader(io.StringIO(text.getvalue(), newline=''), **form))
    if read != ([header] if header else []) + rows:
        return None             # a newline that the writer did not quote
    if form['escapechar'] and '\\\r\n' in text.getvalue():
        return None             # CR LF is one newline for us, and two characters for Python 3.13, of which it escapes one
    options = {}
    if not plain:
        options = {'delimiter': form['delimiter'], 'quote': form['quotechar'] or '', 'escape': form['escapechar'] or form['quotechar'],
                   'header': False, 'skip_lines': 0, 'encoding': 'UTF8', 'null': '', 'comment': '', 'trim': False}
    return text.getvalue().encode(), options, header, rows


def field(value):
    """A value as COPY reads it."""
    if value is None:
        return '\\N'
    return json.dumps(value).replace('\\', '\\\\')


def main():
    rng = random.Random(int(sys.argv[1]))
    for number in range(int(sys.argv[2])):
        made = None
        while made is None:
            made = case(rng, number % 2 == 1)
        data, options, header, rows = made
        print('\\\\x' + data.hex(), field(options), field(header), field(rows), sep='\t')


if __name__ == '__main__':
    main()

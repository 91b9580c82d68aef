# xlsx.py
#	  Reads workbooks with openpyxl, which knows nothing of how they were made.
#
#	    xlsx.py cells book.xlsx				every cell: its place, what it is, its value
#	    xlsx.py frame book.xlsx				all but the cells
#	    xlsx.py rows book.xlsx				how many rows the sheets have, fast
#	    xlsx.py compare book.xlsx rows.csv	values against a CSV export of the same rows
#
# "compare" prints the first cells that differ and ends with how many cells it has
# compared and how many differ.

import csv
import datetime
import re
import sys
import zipfile

import openpyxl
from openpyxl.utils import get_column_letter

EPOCH = datetime.datetime(1899, 12, 30)


# Excel's way to write characters that XML can't hold, which openpyxl leaves alone.
def text(value):
    return re.sub(r'_x([0-9A-Fa-f]{4})_', lambda m: chr(int(m.group(1), 16)), value)


def describe(cell):
    value = cell.value
    if isinstance(value, bool):
        return 'boolean ' + str(value)
    if isinstance(value, (int, float)):
        return 'number %r as %s' % (value, cell.number_format)
    if isinstance(value, (datetime.datetime, datetime.date)):
        return 'time %s as %s' % (value.isoformat(' '), cell.number_format)
    return '%s %s' % ('formula' if cell.data_type == 'f' else 'text', ascii(text(value)))


def cells(book):
    for sheet in book:
        for row in sheet.iter_rows():
            for cell in row:
                if cell.value is not None:
                    link = ' with a link' if cell.hyperlink else ''
                    print('%s!%s %s%s' % (sheet.title, cell.coordinate, describe(cell), link))


def frame(book):
    print('title: %s' % book.properties.title)
    for sheet in book:
        print('sheet "%s" %s' % (sheet.title, sheet.dimensions))
        print('  filter: %s, frozen at: %s' % (sheet.auto_filter.ref, sheet.freeze_panes))
        print('  bold: %s' % ' '.join(sorted({str(cell.row) for row in sheet.iter_rows() for cell in row if cell.font.b})
                                  or ['none']))
        print('  widths: %s' % ' '.join('%s %.0f' % (c, sheet.column_dimensions[c].width)
                                        for c in map(get_column_letter, range(1, sheet.max_column + 1))))


# The XML alone; of the first and the last cell the text.
def rows(name):
    book = openpyxl.load_workbook(name, read_only=True)
    with zipfile.ZipFile(name) as archive:
        for number, sheet in enumerate(book.sheetnames, 1):
            xml = archive.read('xl/worksheets/sheet%d.xml' % number)
            places = re.findall(rb'<row r="(\d+)"', xml)
            content = re.findall(rb'<[tv]>([^<]*)<', xml)
            auto_filter = re.search(rb'<autoFilter ref="([^"]*)"', xml)
            print('%s: %d rows to %d, filter %s, first %s, last %s' % (
                sheet, len(places), max(map(int, places)), auto_filter and auto_filter.group(1).decode(),
                content[0].decode(), content[-1].decode()))


# Whether a cell has the value that the CSV file has as text.
def same(value, expected):
    if value is None:
        return expected == ''
    if isinstance(value, bool):
        return expected == ('t' if value else 'f')
    if isinstance(value, (int, float)):
        try:
            return float(expected) == float(value)
        except ValueError:
            return False
    if isinstance(value, datetime.datetime):
        # The library rounds to milliseconds; a zone is not kept in a cell.
        expected = re.sub(r'[+-]\d\d(:\d\d)*$', '', expected) if ' ' in expected else expected + ' 00:00:00'
        return abs(datetime.datetime.fromisoformat(re.sub(r'\.(\d+)', lambda m: '.' + m.group(1).ljust(6, '0'), expected))
                   - value) <= datetime.timedelta(milliseconds=1)
    return text(value) == expected


def compare(book, rows):
    compared = different = 0
    sheet = book.worksheets[0]
    with open(rows, newline='', encoding='utf-8') as file:
        expected = list(csv.reader(file))
    if sheet.max_row != len(expected):
        print('%d rows instead of %d' % (sheet.max_row, len(expected)))
    for row, fields in zip(sheet.iter_rows(max_col=len(expected[0])), expected):
        for cell, field in zip(row, fields):
            compared += 1
            if not same(cell.value, field):
                different += 1
                if different <= 10:
                    print('%s: %r instead of %r' % (cell.coordinate, cell.value, field))
    print('%d cells, %d different' % (compared, different))


def main():
    sys.stdout.reconfigure(encoding='utf-8')
    if sys.argv[1] == 'rows':
        rows(sys.argv[2])
    else:
        book = openpyxl.load_workbook(sys.argv[2])
        {'cells': cells, 'frame': frame, 'compare': compare}[sys.argv[1]](book, *sys.argv[3:])


main()

// What a user can start.  The browser sends names and formats; every statement stands here.
export const exportsOf = {
  q4: {
    label: 'Q4 Revenue Report',
    query: 'SELECT * FROM q4_revenue',
    formats: ['csv', 'xlsx', 'pdf', 'jsonl']
  },
  transactions: {
    label: 'All transactions',
    query: 'SELECT * FROM sales',
    formats: ['csv', 'jsonl']
  }
}

export const imports = {
  contacts: {
    label: 'Contacts',
    table: 'public.contacts', // with its schema, as previews name it
    options: { rules: { email: { check: 'email', on_fail: 'null' } } }
  }
}

export const bulks = {
  invitations: {
    label: 'Send invitations',
    hint: 'To all guests of the party',
    command: "SELECT send_invitation(($1->>'id')::integer)",
    items: 'SELECT id, name FROM guests ORDER BY id'
  }
}

// For the page: names, and nothing of how it is done.
export const shown = {
  exports: Object.entries(exportsOf).map(([name, { label, formats }]) => ({ name, label, formats })),
  imports: Object.entries(imports).map(([name, { label }]) => ({ name, label })),
  bulks: Object.entries(bulks).map(([name, { label, hint }]) => ({ name, label, hint }))
}

#include "postgres.h"
#include "import/rules.h"
List *jobs_rules_read(Relation target, Jsonb *options, const ValueStyle *style, EState *estate) { return NIL; }
bool jobs_rule_passes(Rule *rule, const RuleInput *input, EState *estate) { return true; }
const char *jobs_rule_code(const Rule *rule) { return "malformed"; }
const char *jobs_rule_message(const Rule *rule) { return "is malformed"; }

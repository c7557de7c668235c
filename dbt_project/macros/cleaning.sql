{# One value of the cleaning rules: the company's own, or the product's. #}
{% macro cleaning(key) -%}
    {%- set own = (var('company_cleaning') or {}).get(key) -%}
    {{ return(var('cleaning')[key] if own is none else own) }}
{%- endmacro %}


{#
    The words of a column, each with its other spellings, or an empty mapping where no vocabulary speaks of it. What the
    company says comes first, so that it may give a spelling another meaning.
#}
{% macro words_of(table, column) -%}
    {%- set rules = var('cleaning') -%}
    {%- set name = rules.spellings.get(table, {}).get(column) -%}
    {%- set own = (var('company_cleaning') or {}).get('vocabulary', {}).get(table, {}).get(column, {}) -%}
    {%- set words = {} -%}
    {%- for word, spellings in own.items() -%}
        {%- do words.update({word: spellings | map('lower') | map('replace', '_', '-') | map('replace', ' ', '-') | list}) -%}
    {%- endfor -%}
    {%- for word, spellings in (rules.vocabularies[name] if name else {}).items() -%}
        {%- do words.update({word: words.get(word, []) + spellings}) -%}
    {%- endfor -%}
    {{ return(words) }}
{%- endmacro %}


{# What stands for a missing value of a column, or nothing. #}
{% macro fill_of(table, column) -%}
    {%- set own = (var('company_cleaning') or {}).get('fills', {}).get(table, {}) -%}
    {{ return(own.get(column, var('cleaning').fills.get(table, {}).get(column))) }}
{%- endmacro %}


{# The columns of a table that a vocabulary speaks of. #}
{% macro spelled_columns(table) -%}
    {%- set found = [] -%}
    {%- for column in var('canonical_tables')[table].columns if words_of(table, column.name) | length > 0 -%}
        {%- do found.append(column.name) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{# The columns of a table of which missing values are filled. #}
{% macro filled_columns(table) -%}
    {%- set found = [] -%}
    {%- for column in var('canonical_tables')[table].columns if fill_of(table, column.name) is not none -%}
        {%- do found.append(column.name) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}


{# The clean value of a raw column. #}
{% macro cleaned(table, column, schema) -%}
    {%- set fill = fill_of(table, column) -%}
    {%- if column == 'customer_id' and var('identity') -%}
    coalesce(members.canonical_id, raw.customer_id)
    {%- elif column == 'parent_customer_id' and var('identity') -%}
    coalesce(parents.canonical_id, raw.parent_customer_id)
    {%- elif fill is not none and not (var('identity') and table in var('survivorship')) -%}
    {{ filled(spelled(table, column), fill, schema, table, column) }}
    {%- else -%}
    {{ spelled(table, column) }}
    {%- endif -%}
{%- endmacro %}


{#
    A word as its vocabulary writes it; what no vocabulary knows stays as it came. Words that are right already are
    found by one look into a list, so that the long way is gone by the misspelled alone.
#}
{% macro spelled(table, column) -%}
    {%- set words = words_of(table, column) -%}
    {%- if words | length == 0 -%}
    raw.{{ column }}
    {%- else -%}
    case
            when raw.{{ column }} is null or raw.{{ column }} in ({{ quoted_list(words.keys()) }}) then raw.{{ column }}
            {%- for word, spellings in words.items() %}
            when replace(replace(lower(trim(raw.{{ column }})), '_', '-'), ' ', '-') in ({{ quoted_list([word] + spellings) }})
                then {{ quoted_text(word) }}
            {%- endfor %}
            else raw.{{ column }}
        end
    {%- endif -%}
{%- endmacro %}


{# A value, or what stands for it where it is missing. A column that the whole feed leaves empty is absent, not missing. #}
{% macro filled(value, fill, schema, table, column) -%}
    coalesce(
            {{ value }},
            case when (select count({{ column }}) from {{ schema }}.{{ table }}) > 0 then {{ quoted_text(fill) }} end
        )
{%- endmacro %}


{% macro quoted_list(words) -%}
    {%- for word in words -%}
        {{ quoted_text(word) }}{{ ', ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}


{# A text of a company's file as SQL, such as L'Aquila. #}
{% macro quoted_text(text) -%}
    '{{ text | replace("'", "''") }}'
{%- endmacro %}


{# The rules that take rows out of a table, in the order in which they are asked. #}
{% macro removals(table) -%}
    {%- set names = var('canonical_tables')[table].columns | map(attribute='name') | list -%}
    {%- set rules = [] -%}
    {%- if 'is_test' in names -%}
        {%- do rules.append({'rule': 'test_row', 'when': 'raw.is_test'}) -%}
    {%- endif -%}
    {%- if is_connected('customers') and 'customer_id' in names -%}
        {%- do rules.append({'rule': 'test_customer', 'when': 'testers.customer_id is not null'}) -%}
    {%- endif -%}
    {%- if table == 'events' -%}
        {%- do rules.append({'rule': 'duplicate_click', 'when': 'duplicates.event_id is not null'}) -%}
    {%- endif -%}
    {{ return(rules) }}
{%- endmacro %}


{# The rule that takes a raw row out, or null. #}
{% macro removal(table) -%}
    {%- set rules = removals(table) -%}
    {%- if rules | length == 0 -%}
    cast(null as varchar)
    {%- else -%}
    case
        {%- for rule in rules %}
        when {{ rule.when }} then '{{ rule.rule }}'
        {%- endfor %}
    end
    {%- endif -%}
{%- endmacro %}


{# The company's own testers: all of their rows are taken out everywhere. #}
{% macro test_customers() -%}
{%- for schema in feeds_of('customers') %}
select customer_id from {{ schema }}.customers where is_test
{{ 'union distinct' if not loop.last else 'group by customer_id' if loop.length == 1 }}
{%- endfor -%}
{%- endmacro %}


{# The landed clicks of some days, or all, with what makes each like another. #}
{% macro clicks(days=none) -%}
{%- for schema in feeds_of('events') %}
select
    '{{ source_of(schema) }}' as source,
    event_id,
    occurred_at,
    {{ alike() }}
from {{ schema }}.events
where {{ within('occurred_at', days) }}
{{ 'union all' if not loop.last }}
{%- else %}
select
    cast(null as varchar) as source,
    cast(null as varchar) as event_id,
    cast(null as timestamp) as occurred_at,
    {%- for column in cleaning('duplicate_columns') %}
    cast(null as varchar) as {{ column }}{{ ',' if not loop.last }}
    {%- endfor %}
where 1 = 0
{%- endfor -%}
{%- endmacro %}


{#
    The days on which clicks came or went since repetitions were last looked for. A click may make one of the next day a
    repetition, and is told from the one before it, so days around each are looked at too.
#}
{% macro changed_clicks(around=0) -%}
    {{ return(changed_days('events', "'" ~ local_md5(rules_of_clicks()) ~ "'", around=around)) }}
{%- endmacro %}


{% macro forget_clicks() -%}
    {%- if is_incremental() -%}
    delete from {{ this }} where {{ within('click_date', changed_clicks(around=1), type='date') }}
    {%- endif -%}
{%- endmacro %}


{% macro remember_clicks() -%}
    {{ remember_batch_days({'events': "'" ~ local_md5(rules_of_clicks()) ~ "'"} if is_connected('events') else {}) }}
{%- endmacro %}


{# The columns in which two clicks are alike. #}
{% macro alike() -%}
    {{ cleaning('duplicate_columns') | join(', ') }}
{%- endmacro %}


{# Until when a click like the one at a moment is the same click. #}
{% macro same_click_until(moment) -%}
    {{ seconds_later(moment, cleaning('duplicate_seconds')) }}
{%- endmacro %}


{# A moment some seconds later, which may be parts of a second. #}
{% macro seconds_later(moment, seconds) -%}
    {{ return(adapter.dispatch('seconds_later', 'holdfast')(moment, seconds)) }}
{%- endmacro %}

{% macro default__seconds_later(moment, seconds) -%}
    {{ moment }} + make_dt_interval(0, 0, 0, {{ seconds }})
{%- endmacro %}

{% macro duckdb__seconds_later(moment, seconds) -%}
    {{ moment }} + interval {{ (seconds * 1000) | round | int }} millisecond
{%- endmacro %}


{#
    One row per customer where identities say that several accounts are one: each column by its survivorship rule.
    Missing values are filled last, so that a known one survives.
#}
{% macro survivors(table) -%}
{%- set declared = var('canonical_tables')[table] -%}
{%- set rules = var('survivorship')[table] -%}
select
    {%- for column in declared.columns %}
    {{ survivor(table, column, rules) }} as {{ column.name }},
    {%- endfor %}
    min_by(_source, account_number) as _source,
    min_by(_batch, account_number) as _batch
from (
    select
        classified.*,
        row_number() over (
            partition by {{ declared.key | join(', ') }} order by {{ order_of_accounts(table) }}
        ) as account_number,
        row_number() over (
            partition by {{ declared.key | join(', ') }}
            order by {{ 'signed_up_at nulls last, ' if table == 'customers' }}feed_number, _account
        ) as age_number,
        row_number() over (
            partition by {{ declared.key | join(', ') }}
            order by {{ 'signed_up_at desc nulls last, ' if table == 'customers' }}feed_number, _account
        ) as recency_number
    from (
        {{ classified_rows(table) | indent(8) }}
    ) as classified
    where removed_by is null or removed_by = 'same_customer'
) as accounts
group by {{ declared.key | join(', ') }}
{%- endmacro %}


{# The surviving value of one column over the accounts of a customer. #}
{% macro survivor(table, column, rules) -%}
    {%- set own = var('extra_columns') | selectattr('name', 'equalto', column.name) | map(attribute='survivorship') | list -%}
    {%- set name, rule = column.name, rules.get(column.name, (own + [none])[0]) -%}
    {%- set fill = fill_of(table, name) -%}
    {%- set taken = {
        'first': 'min_by(' ~ name ~ ', account_number) filter (where ' ~ name ~ ' is not null)',
        'earliest': 'min_by(' ~ name ~ ', age_number) filter (where ' ~ name ~ ' is not null)',
        'latest': 'min_by(' ~ name ~ ', recency_number) filter (where ' ~ name ~ ' is not null)',
        'lowest': 'min(' ~ name ~ ')',
        'highest': 'max(' ~ name ~ ')',
        'sum': 'sum(' ~ name ~ ')',
    } -%}
    {%- if name in var('canonical_tables')[table].key -%}
    {{ name }}
    {%- elif rule is none -%}
    cast(null as {{ column.type }})
    {%- elif rule not in taken -%}
        {{ exceptions.raise_compiler_error(
            "The survivorship rule `" ~ rule ~ "` of " ~ table ~ "." ~ name ~ " is unknown. Set it in dbt_project.yml to "
            "one of " ~ (taken.keys() | join(', ')) ~ "."
        ) }}
    {%- elif fill is not none -%}
    coalesce({{ taken[rule] }}, case when {{ feeds_of(table) | length }} > 0 and max(count({{ name }})) over () > 0 then {{ quoted_text(fill) }} end)
    {%- else -%}
    {{ taken[rule] }}
    {%- endif -%}
{%- endmacro %}

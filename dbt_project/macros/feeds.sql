{# Whether the company connects a canonical table. #}
{% macro is_connected(table) -%}
    {{ return(feeds_of(table) | length > 0) }}
{%- endmacro %}


{# The raw schemas that hold a canonical table, the most trusted first. #}
{% macro feeds_of(table) -%}
    {{ return((var('feeds') or {}).get(table, [])) }}
{%- endmacro %}


{#
    The clean rows of a canonical table: what no rule takes out, in the words and with the fills of the cleaning rules,
    under the customer that an account belongs to; or no row of the right types when nothing feeds the table. `_source`
    and `_batch` say where a row came from and with which landing.
#}
{% macro cleaned_rows(table) -%}
{%- set declared = var('canonical_tables')[table] -%}
{%- if not is_connected(table) -%}
select
    {%- for column in declared.columns %}
    cast(null as {{ column.type }}) as {{ column.name }},
    {%- endfor %}
    cast(null as varchar) as _source,
    cast(null as varchar) as _batch
where 1 = 0
{%- elif var('identity') and table in var('survivorship') -%}
{{ survivors(table) }}
{%- else -%}
select
    {%- for column in declared.columns %}
    {{ column.name }},
    {%- endfor %}
    _source,
    _batch
from (
    {{ classified_rows(table) | indent(4) }}
) as classified
where removed_by is null
{%- endif -%}
{%- endmacro %}


{#
    Every landed row of a canonical table, cleaned, with the rule that takes it out in `removed_by`, null for a row that
    stays. Of the same key in two feeds the first feed's row stays; with identities, of several accounts of one customer
    the first that was opened.
#}
{% macro classified_rows(table) -%}
{%- set declared = var('canonical_tables')[table] -%}
{%- set schemas = feeds_of(table) -%}
{%- if compares_rows(table) -%}
select
    {%- for column in declared.columns %}
    {{ column.name }},
    {%- endfor %}
    _source,
    _batch,
    _account,
    feed_number,
    coalesce(
        removed_by,
        case
            when row_number() over (
                partition by {{ declared.key | join(', ') }}, removed_by is null
                order by {{ order_of_accounts(table) }}
            ) > 1 then '{{ rule_of_duplicates(table) }}'
        end
    ) as removed_by
from (
    {%- for schema in schemas %}
    {{ raw_rows(schema, table, declared, loop.index) | indent(4) }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
) as feeds
{%- else -%}
{{ raw_rows(schemas[0], table, declared, 1) }}
{%- endif -%}
{%- endmacro %}


{# Whether rows of a table may stand for the same thing: of several feeds, or of several accounts of one customer. #}
{% macro compares_rows(table) -%}
    {{ return(feeds_of(table) | length > 1 or (var('identity') and 'customer_id' in var('canonical_tables')[table].key)) }}
{%- endmacro %}


{# The rule by which rows of the same key become one. #}
{% macro rule_of_duplicates(table) -%}
    {{ return('same_customer' if var('identity') and table in var('survivorship') else 'same_key') }}
{%- endmacro %}


{# The source that a raw schema belongs to. #}
{% macro source_of(schema) -%}
    {{ return(schema | replace('raw_', '', 1)) }}
{%- endmacro %}


{# The column that places a row of a table in time: its first moment. #}
{% macro moment_of(table) -%}
    {{ return((var('canonical_tables')[table].columns | selectattr('type', 'equalto', 'timestamp') | first).name) }}
{%- endmacro %}


{# One feed of a canonical table, judged row by row. #}
{% macro raw_rows(schema, table, declared, feed_number) -%}
{%- set has_customer = declared.columns | selectattr('name', 'equalto', 'customer_id') | list | length > 0 -%}
{%- set source = source_of(schema) -%}
select
    {%- for column in declared.columns %}
    {{ cleaned(table, column.name, schema) }} as {{ column.name }},
    {%- endfor %}
    '{{ source }}' as _source,
    raw._batch as _batch,
    {{ 'raw.customer_id' if has_customer else 'cast(null as varchar)' }} as _account,
    {{ feed_number }} as feed_number,
    {{ removal(table) }} as removed_by
from {{ schema }}.{{ table }} as raw
{%- if var('identity') and has_customer %}
left join identity.members as members
    on
        members.source = '{{ source }}'
        and raw.customer_id = members.customer_id
{%- endif %}
{%- if var('identity') and table == 'customers' %}
left join identity.members as parents
    on
        parents.source = '{{ source }}'
        and raw.parent_customer_id = parents.customer_id
{%- endif %}
{%- if is_connected('customers') and has_customer %}
left join (
    {{ test_customers() | indent(4) }}
) as testers
    on raw.customer_id = testers.customer_id
{%- endif %}
{%- if table == 'events' %}
left join {{ ref('duplicate_events') }} as duplicates
    on
        duplicates.source = '{{ source }}'
        and raw.event_id = duplicates.event_id
{%- endif %}
{%- endmacro %}


{# In which order feeds and accounts are asked, so that the first answer is always the same one. #}
{% macro order_of_accounts(table) -%}
    {{ 'feed_number, signed_up_at nulls last, _account' if table == 'customers' else 'feed_number, _account' }}
{%- endmacro %}

{#
    What the day tables are made of: for each canonical table the relation to read, its day, the moment behind the day
    and the columns that a day table uses. A change of anything else changes no day.
#}
{% macro day_sources() -%}
    {{ return({
        'orders': {
            'model': 'stg_orders', 'day': 'ordered_date', 'moment': 'ordered_at',
            'columns': ['amount', 'discount', 'count_lines', 'channel', 'store', 'status', 'is_returned'],
        },
        'order_lines': {
            'model': 'int_order_lines_described', 'day': 'ordered_date', 'moment': 'ordered_at',
            'columns': ['product_id', 'department', 'category', 'brand', 'amount', 'discount'],
        },
        'events': {
            'model': 'stg_events', 'day': 'occurred_date', 'moment': 'occurred_at',
            'columns': ['type', 'page', 'session_id', 'product_id', 'feature', 'dwell_seconds'],
        },
        'usage': {
            'model': 'stg_usage', 'day': 'used_date', 'moment': 'used_at',
            'columns': ['used_at', 'metric', 'value'],
        },
        'feedback': {
            'model': 'stg_feedback', 'day': 'given_date', 'moment': 'given_at',
            'columns': ['kind', 'rating'],
        },
        'touches': {
            'model': 'stg_touches', 'day': 'touched_date', 'moment': 'touched_at',
            'columns': ['is_opened', 'is_clicked'],
        },
        'redemptions': {
            'model': 'stg_redemptions', 'day': 'redeemed_date', 'moment': 'redeemed_at',
            'columns': ['amount'],
        },
    }) }}
{%- endmacro %}


{# The day tables: the column of their day, and the sources of which a change builds a day anew, the main one first. #}
{% macro day_tables() -%}
    {{ return({
        'int_customer_order_days': {'day': 'order_date', 'sources': ['orders']},
        'int_customer_channel_days': {'day': 'order_date', 'sources': ['orders']},
        'int_customer_store_days': {'day': 'order_date', 'sources': ['orders']},
        'int_customer_failure_days': {'day': 'failure_date', 'sources': ['orders']},
        'int_customer_product_days': {'day': 'order_date', 'sources': ['order_lines']},
        'int_customer_category_days': {'day': 'order_date', 'sources': ['order_lines']},
        'int_customer_department_days': {'day': 'order_date', 'sources': ['order_lines']},
        'int_customer_event_days': {'day': 'event_date', 'sources': ['events', 'orders']},
        'int_customer_usage_days': {'day': 'usage_date', 'sources': ['usage']},
        'int_customer_feedback_days': {'day': 'feedback_date', 'sources': ['feedback']},
        'int_customer_touch_days': {'day': 'touch_date', 'sources': ['touches']},
        'int_customer_redemption_days': {'day': 'redemption_date', 'sources': ['redemptions']},
    }) }}
{%- endmacro %}


{#
    The rows of a source in their days, what a contact person did counted for the company: all of them, those of the
    days that the calling day table builds in this run, or those of a list of days.
#}
{% macro rows_of(name, to_rebuild_only=false, days=none) -%}
{%- set source = day_sources()[name] -%}
select
    coalesce(contacts.account_id, landed.customer_id) as customer_id,
    landed.{{ source.day }}
    {%- for column in source.columns %},
    landed.{{ column }}
    {%- endfor %}
from {{ ref(source.model) }} as landed
left join {{ ref('int_contacts') }} as contacts on landed.customer_id = contacts.customer_id
{%- if to_rebuild_only %}
where {{ must_rebuild('landed.' ~ source.day, moment='landed.' ~ source.moment) }}
{%- elif days is not none %}
where
    {{ within('landed.' ~ source.day, days, type='date') | indent(4) }}
    and {{ within('landed.' ~ source.moment, with_neighbours(days)) | indent(4) }}
{%- endif %}
{%- endmacro %}


{#
    The days on the company's clock of which a source's content must be told anew: those around the days that were
    touched, for the clock, and for clicks that make one of the next day a repetition.
#}
{% macro changed_landed_days(name) -%}
    {{ return(changed_days(name, rules_of_days(name), around=2)) }}
{%- endmacro %}


{% macro forget_landed_days() -%}
    {%- if is_incremental() -%}
    delete from {{ this }}
    where
        {%- for name in day_sources() if is_connected(name) %}
        (source_table = '{{ name }}' and {{ within('day_date', changed_landed_days(name), type='date') | indent(8) }}) or
        {%- endfor %}
        source_table not in ({{ quoted_list(tables_by_day()) }}{{ "''" if not tables_by_day() }})
    {%- endif -%}
{%- endmacro %}


{% macro remember_landed_days() -%}
    {%- set rules = {} -%}
    {%- for name in tables_by_day() -%}
        {%- do rules.update({name: rules_of_days(name)}) -%}
    {%- endfor -%}
    {{ remember_batch_days(rules) }}
{%- endmacro %}


{#
    Whether this run must build a day; all days when the table is built as a whole. The moments are bounded as well, by
    the first day due, so that the engine need not look at the blocks of older rows: no clock is more than a day away
    from UTC.
#}
{% macro must_rebuild(day, moment=none) -%}
    {%- set due = ref('days_to_rebuild') -%}
    {%- if not is_incremental() -%}
    true
    {%- else -%}
    {{ day }} in (select day_date from {{ due }} where day_table = '{{ this.identifier }}' and must_rebuild)
    {%- if moment is not none and execute -%}
    {%- set asked -%}
        select cast({{ days_before('min(day_date)', 1) }} as varchar) from {{ due }}
        where day_table = '{{ this.identifier }}' and must_rebuild
    {%- endset -%}
    {%- set first = run_query(asked).columns[0].values()[0] %}
    and {{ moment }} >= cast('{{ first or '9999-12-31' }}' as timestamp)
    {%- endif -%}
    {%- endif -%}
{%- endmacro %}


{# Drop the day tables that another version of their model made, so that they are built as a whole. #}
{% macro drop_outdated_days() -%}
    {%- if execute -%}
    {%- set asked -%}
        select distinct declared.day_table
        from ({{ declared_day_tables() }}) as declared
        left join {{ ref('days_built') }} as built
            on
                declared.day_table = built.day_table
                and built.made_from like concat(declared.made_by, ' %')
        where built.day_table is null
    {%- endset -%}
    {%- for table in run_query(asked).columns[0].values() -%}
        {%- set found = adapter.get_relation(this.database, graph.nodes['model.holdfast.' ~ table].schema, table) -%}
        {%- if found is not none -%}
            {%- do adapter.drop_relation(found) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- endif -%}
{%- endmacro %}


{# Before a day table is written: take out every day that is due, and every day that its sources no longer have. #}
{% macro forget_days() -%}
    {%- if is_incremental() -%}
    delete from {{ this }}
    where {{ day_tables()[this.identifier].day }} not in (
        select day_date from {{ ref('days_to_rebuild') }} where day_table = '{{ this.identifier }}' and not must_rebuild
    )
    {%- endif -%}
{%- endmacro %}


{# After a day table is written, in the same transaction: what its days were built from. #}
{% macro remember_days() -%}
    {%- if builds_by_days() -%}
    delete from {{ ref('days_built') }} where day_table = '{{ this.identifier }}';
    insert into {{ ref('days_built') }}
    select day_table, day_date, made_from from {{ ref('days_to_rebuild') }} where day_table = '{{ this.identifier }}'
    {%- endif -%}
{%- endmacro %}


{# The day tables and their sources as a relation, with a mark of how each table is computed. #}
{% macro declared_day_tables() -%}
{%- set selects = [] -%}
{%- for table, declared in day_tables().items() -%}
    {%- set node = graph.nodes.get('model.holdfast.' ~ table) if execute -%}
    {%- for source in declared.sources -%}
        {%- do selects.append(
            "select '" ~ table ~ "' as day_table, '" ~ source ~ "' as source_table, "
            ~ ('true' if loop.first else 'false') ~ " as is_main, '"
            ~ (node.checksum.checksum[:12] if node else '') ~ "' as made_by"
        ) -%}
    {%- endfor -%}
{%- endfor -%}
{{ selects | join('\nunion all\n') }}
{%- endmacro %}

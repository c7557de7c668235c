{# The ledger of decisions as the operational store mirrors it, or no row before the first plan was made. #}
{% macro ledger_rows() -%}
{%- set ledger = source('retention', 'ledger') -%}
{%- set found = load_relation(ledger) if execute else ledger -%}
select
    {%- for name, type in [
        ('entry_id', 'varchar'), ('as_of', 'date'), ('customer_id', 'varchar'), ('strategy_id', 'varchar'),
        ('arm', 'varchar'), ('event', 'varchar'), ('channel', 'varchar'), ('cost', 'double'), ('score', 'double'),
        ('model_version', 'varchar'), ('idempotency_key', 'varchar'), ('recorded_at', 'timestamp')
    ] %}
    cast({{ name if found is not none else 'null' }} as {{ type }}) as {{ name }}{{ ',' if not loop.last }}
    {%- endfor %}
{{ 'from ' ~ ledger if found is not none else 'where 1 = 0' }}
{%- endmacro %}

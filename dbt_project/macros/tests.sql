{#
    Offenders of a key: combinations of the columns that occur more than once or lack a part. With `day_column` only rows
    of the last days of that column are asked, a month's if `last_days` is not given.
#}
{% test unique_rows(model, columns, day_column=none, last_days=31) %}
select {{ columns | join(', ') }}, count(*) as count_rows
from {{ model }}
{%- if day_column is not none %}
where {{ day_column }} >= {{ days_before(as_of(), last_days) }}
{%- endif %}
group by {{ columns | join(', ') }}
having
    count(*) > 1
    {%- for column in columns %}
    or {{ column }} is null
    {%- endfor %}
{% endtest %}


{# Offenders of an identity: rows for which the condition holds, among those of the last days if so asked. #}
{% test never(model, condition, day_column=none, last_days=31) %}
select *
from {{ model }}
where
    ({{ condition }})
    {%- if day_column is not none %}
    and {{ day_column }} >= {{ days_before(as_of(), last_days) }}
    {%- endif %}
{% endtest %}

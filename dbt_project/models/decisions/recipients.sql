with

accounts as (

    {%- for schema in feeds_of('customers') %}
        select
            {{ 'coalesce(members.canonical_id, raw.customer_id)' if var('identity') else 'raw.customer_id' }} as customer_id,
            '{{ source_of(schema) }}' as source,
            raw.customer_id as account,
            raw.email as email_token,
            raw.phone as phone_token,
            {{ loop.index }} as feed_number
        from {{ schema }}.customers as raw
        {%- if var('identity') %}
        left join identity.members as members
            on
                members.source = '{{ source_of(schema) }}'
                and raw.customer_id = members.customer_id
        {%- endif %}
        {{ 'union all' if not loop.last }}
    {%- else %}
        select
            cast(null as varchar) as customer_id,
            cast(null as varchar) as source,
            cast(null as varchar) as account,
            cast(null as varchar) as email_token,
            cast(null as varchar) as phone_token,
            0 as feed_number
        where 1 = 0
    {%- endfor %}

),

customers as (

    select distinct customer_id
    from accounts

),

-- of several accounts that have one, the most trusted feed's first
emails as (

    select
        customer_id,
        source,
        account,
        email_token
    from accounts
    where email_token is not null
    qualify row_number() over (partition by customer_id order by feed_number asc, account asc) = 1

),

phones as (

    select
        customer_id,
        source,
        account,
        phone_token
    from accounts
    where phone_token is not null
    qualify row_number() over (partition by customer_id order by feed_number asc, account asc) = 1

),

writings as (

    select
        customer_id,
        language,
        opened_at as written_at
    from {{ ref('stg_tickets') }}
    where language is not null
    union all
    select
        customer_id,
        language,
        given_at as written_at
    from {{ ref('stg_feedback') }}
    where language is not null

),

languages as (

    select
        customer_id,
        max_by(language, written_at) as language
    from writings
    where written_at < {{ as_of() }}
    group by customer_id

),

recipients as (

    select
        customers.customer_id,
        languages.language,
        emails.source as email_source,
        emails.account as email_account,
        emails.email_token,
        phones.source as phone_source,
        phones.account as phone_account,
        phones.phone_token
    from customers
    left join languages on customers.customer_id = languages.customer_id
    left join emails on customers.customer_id = emails.customer_id
    left join phones on customers.customer_id = phones.customer_id

)

select * from recipients

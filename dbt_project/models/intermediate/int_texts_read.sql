with

readings as (

    select * from {{ source('ingestion', 'text_readings') }}

),

texts as (

    select
        'ticket' as written_in,
        ticket_id as text_id,
        customer_id,
        opened_date as written_date,
        body_token
    from {{ ref('stg_tickets') }}
    union all
    select
        'feedback' as written_in,
        feedback_id as text_id,
        customer_id,
        given_date as written_date,
        body_token
    from {{ ref('stg_feedback') }}

),

read as (

    select
        texts.written_in,
        texts.text_id,
        coalesce(contacts.account_id, texts.customer_id) as customer_id,
        texts.written_date,
        readings.language,
        readings.sentiment,
        -- of a text of another domain the model's opinion alone is no evidence
        readings.sentiment = 'negative'
        and (readings.symptom is not null or not coalesce(readings.is_other_domain, false)) as is_negative,
        readings.confidence,
        readings.domain,
        readings.symptom,
        readings.reason,
        readings.is_urgent,
        readings.keywords
    from texts
    inner join readings on texts.body_token = readings.token
    left join {{ ref('int_contacts') }} as contacts on texts.customer_id = contacts.customer_id

)

select * from read

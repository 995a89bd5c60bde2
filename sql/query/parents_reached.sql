SELECT p.identity, p.state, p.pages, p.records, p.reach, p.total_first, p.total_last,
       EXISTS (SELECT FROM sluice._page AS g
               WHERE g.job_id = p.job_id AND g.generation = p.generation
                 AND g.number >= p.first_page AND g.number < p.first_page + p.pages AND g.ignored),
       c.cursor
FROM sluice._parent AS p
LEFT JOIN (SELECT l.identity, l.cursor FROM sluice._latest_parent_cursor AS l WHERE l.job_id = $1) AS c
     ON c.identity = p.identity
WHERE p.job_id = $1 AND p.generation = $2
ORDER BY p.ordinal

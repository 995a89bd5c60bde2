//! Which jobs wait for which.

use super::fault::JobFault;

/// Refuses a job that would wait for itself: `edges` are (job, the job that it waits for) of all jobs, the new ones
/// included. The shortest way round is named.
pub fn check_cycle(name: &str, edges: &[(String, String)]) -> Result<(), JobFault> {
    let mut ways: Vec<Vec<&str>> = vec![vec![name]];
    let mut seen: Vec<&str> = Vec::new();
    while let Some(way) = ways.first().cloned() {
        ways.remove(0);
        let last = way[way.len() - 1];
        for (_, next) in edges.iter().filter(|(job, _)| job == last) {
            let mut longer = way.clone();
            longer.push(next);
            if next == name {
                return Err(JobFault::DependencyCycle {
                    name: name.to_owned(),
                    names: longer.into_iter().map(str::to_owned).collect(),
                });
            }
            if !seen.contains(&next.as_str()) {
                seen.push(next);
                ways.push(longer);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
    }

    #[test]
    fn a_way_back_is_refused_and_named() {
        let names = |pairs: &[(&str, &str)]| match check_cycle("a", &edges(pairs)) {
            Err(JobFault::DependencyCycle { names, .. }) => names.join(" "),
            _ => String::new(),
        };
        assert_eq!(names(&[("a", "a")]), "a a");
        assert_eq!(names(&[("a", "b"), ("b", "c"), ("c", "a"), ("b", "a")]), "a b a");
        assert_eq!(names(&[("a", "b"), ("b", "c"), ("c", "d"), ("d", "a")]), "a b c d a");
    }

    #[test]
    fn many_ways_to_one_job_are_none_back() {
        let diamond = [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")];
        assert_eq!(check_cycle("a", &edges(&diamond)), Ok(()));
        // One that others have made is not this job's.
        assert_eq!(check_cycle("a", &edges(&[("a", "x"), ("x", "y"), ("y", "x")])), Ok(()));
    }
}

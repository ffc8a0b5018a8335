/**
 * The nodes of a cluster that one setting names, as `amqp://user:password@host:port,host:port/path`: a URL of each, in
 * the order given. A URL that names one host is its own only node.
 */
export function nodeUrls(url: string): string[] {
  const [, before = '', hosts = url, after = ''] =
    /^([a-z][a-z0-9+.-]*:\/\/(?:[^/?#]*@)?)([^/?#]*)(.*)$/is.exec(url) ?? []
  return hosts.split(',').map((host) => `${before}${host.trim()}${after}`)
}

/** Whether a setting names several nodes. */
export function namesCluster(url: string): boolean {
  return nodeUrls(url).length > 1
}

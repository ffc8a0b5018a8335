import { expect } from 'chai'
import { describe, it } from 'mocha'
import { nodeUrls } from '../../src/platform/node-urls.ts'

describe('nodeUrls', () => {
  it('leaves a URL of one host as it is', () => {
    for (const url of [
      'amqp://u:p@broker:5672/vhost?heartbeat=5',
      'amqps://broker',
      'redis://:p@[::1]:6379/2',
    ])
      expect(nodeUrls(url)).to.deep.equal([url])
  })

  it('gives every host the user, the path and the options of the whole, in the order given', () => {
    expect(nodeUrls('amqp://u:p@b-2:1,b-1, [::1]:3/vhost?heartbeat=5')).to.deep.equal([
      'amqp://u:p@b-2:1/vhost?heartbeat=5',
      'amqp://u:p@b-1/vhost?heartbeat=5',
      'amqp://u:p@[::1]:3/vhost?heartbeat=5',
    ])
  })

  it('does not take a comma or an @ of a password, a path or an option for one between hosts', () => {
    expect(nodeUrls('redis://:p,q@r@h1:1,h2:2/3?name=a,b@c')).to.deep.equal([
      'redis://:p,q@r@h1:1/3?name=a,b@c',
      'redis://:p,q@r@h2:2/3?name=a,b@c',
    ])
  })

  it('keeps what is no URL for whoever checks it', () => {
    expect(nodeUrls('broker:5672')).to.deep.equal(['broker:5672'])
    expect(nodeUrls('amqp://u:p@h1,,h2')).to.deep.equal(['amqp://u:p@h1', 'amqp://u:p@', 'amqp://u:p@h2'])
  })
})
